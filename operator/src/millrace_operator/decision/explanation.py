"""The reason for a number, and the numbers behind it in words: no rule changes the number without them."""

from dataclasses import dataclass

from millrace_operator.decision.demand import Demand
from millrace_operator.decision.schedules import Floor
from millrace_operator.decision.sentences import count, seconds, terms_in_words, work_in_words
from millrace_operator.decision.sight import Sight
from millrace_operator.model.decision import Reason
from millrace_operator.model.reading import Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The steps from demand to the number that is wanted."""

    needs: Demand
    floor: Floor | None
    demanded: int
    needed: int
    """The demand within minReplicas and maxReplicas."""
    held: int
    """After the delay on the way down."""
    kept: int
    """Pods that stay for what may come."""
    delay_seconds: float
    keep_alive_seconds: float


def explain(sight: Sight, found: Found) -> tuple[Reason, str]:
    """Say why: the reason for programs and a part of a sentence for people."""
    reason = _reason(sight, found)
    return reason, _why(sight, found, reason)


def explain_unknown(unknown: Unknown, *, failures: int, is_fallback: bool) -> str:
    """Say what holds while a queue cannot be read."""
    if is_fallback:
        return f"{unknown.message}, {count(failures, 'time')} in a row; spec.fallback holds until it can be read"
    return f"{unknown.message}; what is unknown scales nothing down, so the pool is held until it can be read"


def _reason(sight: Sight, found: Found) -> Reason:  # noqa: PLR0911 - in the order in which they count
    policy, asked = sight.policy, sight.state.asked
    if found.demanded > policy.max_replicas or asked > policy.max_replicas == found.held:
        return Reason.AT_MAXIMUM
    if max(found.held, found.kept) < asked:
        return Reason.IDLE_SCALE_DOWN
    if found.kept > found.held:
        return Reason.KEEP_ALIVE
    if found.held > found.needed:
        return Reason.WAITING_FOR_IDLE
    if found.demanded <= policy.min_replicas:
        return Reason.AT_MINIMUM
    if found.floor is not None and found.floor.replicas == found.demanded:
        return Reason.SCHEDULED_FLOOR
    if found.needs.due == found.demanded:
        return Reason.KNOWN_TASKS_DUE
    if found.needs.steady == found.demanded > found.needs.backlog:
        return Reason.STEADY_LOAD
    return Reason.BACKLOG_TO_DRAIN if sight.work.waiting else Reason.WORK_IN_PROGRESS


def _why(sight: Sight, found: Found, reason: Reason) -> str:  # noqa: C901, PLR0911 - one sentence a reason
    policy, floor, due = sight.policy, found.floor, sight.work.due
    first = sight.first_rates
    work = work_in_words(
        sight.work,
        sight.estimates,
        concurrency=policy.concurrency,
        first_seconds=None if first is None else first.service_seconds,
    )
    terms = terms_in_words(policy.objective, sight.estimates)
    delay = seconds(found.delay_seconds)
    match reason:
        case Reason.AT_MAXIMUM if found.demanded > policy.max_replicas:
            return f"{work}; {found.demanded:,} would keep the objective, maxReplicas is {policy.max_replicas:,}"
        case Reason.AT_MAXIMUM:
            return f"{work}; maxReplicas is {policy.max_replicas:,}"
        case Reason.KEEP_ALIVE if found.kept == 1:
            stay = seconds(found.keep_alive_seconds)
            return f"{work}; the last pod stays for {stay} in case the next task comes by then"
        case Reason.KEEP_ALIVE:
            return f"{work}; {found.held:,} would do, the others stay a while, as a new start would cost more"
        case Reason.WAITING_FOR_IDLE:
            return f"{work}; {found.needed:,} would do, and replicas go once fewer have been enough for {delay}"
        case Reason.IDLE_SCALE_DOWN:
            return f"{work}; no more have been needed for {delay}"
        case Reason.AT_MINIMUM if policy.min_replicas:
            return f"{work}; minReplicas is {policy.min_replicas:,}"
        case Reason.SCHEDULED_FLOOR if floor is not None:
            return f"{work}; schedule {floor.schedule.cron!r} asks for {floor.replicas:,} at least"
        case Reason.KNOWN_TASKS_DUE:
            comes = "comes" if due == 1 else "come"
            return f"{count(due, 'task')} of {sight.due_source} {comes} due, {terms}; {work}"
        case Reason.BACKLOG_TO_DRAIN | Reason.STEADY_LOAD:
            return f"{work}; {terms}"
        case _:
            return work
