"""Decide what is to be done about one PredictionJob, from what is seen of it at one moment. Pure.

Level triggered: nothing is remembered between two looks. An operator that was away, a pool that came late, a plan
that got lost and a Redis that came back empty are all just what is seen now.
"""

from typing import Final

from millrace_contracts.errors import JobFailure
from millrace_contracts.ledger import State
from millrace_contracts.tasks import JobRef, PlanTask
from millrace_operator.api.conditions import Condition
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs import situation as situations
from millrace_operator.jobs.deadlines import stop_for_deadline, submission_is_overdue
from millrace_operator.jobs.notices import due_notices
from millrace_operator.jobs.readings import JobView, LedgerReading, LedgerUnknown, PoolView
from millrace_operator.jobs.reasons import JobState, Reason
from millrace_operator.jobs.refusal import SpecRefused
from millrace_operator.jobs.renewal import plan_is_due, renewal
from millrace_operator.jobs.situation import Situation
from millrace_operator.jobs.spec import build_plan, check_spec, share_of
from millrace_operator.jobs.status import build_status, count
from millrace_operator.jobs.steps import Action, DeleteObject, JobStep, PublishPlan, Stop, Submit, Suspend, Tidy
from millrace_operator.jobs.tidying import tidying

_SUBMITTED_STATES: Final = frozenset(
    {JobState.QUEUED.value, JobState.RUNNING.value, JobState.SUSPENDED.value, JobState.FINALIZING.value}
)


def advance(view: JobView, *, now: float) -> JobStep:
    """Decide about one job. A job that has ended never changes again, whatever the ledger says."""
    if view.job.is_finished:
        return _keep(view, now=now)
    if isinstance(view.ledger, LedgerReading):
        return _follow(view, view.ledger, now=now)
    if isinstance(view.ledger, LedgerUnknown) and view.job.status.get("state") in _SUBMITTED_STATES:
        state = JobState(view.job.status["state"])
        return _step(view, situations.unreadable(state, view.ledger.message), now=now)
    return _submit(view, now=now)


def _keep(view: JobView, *, now: float) -> JobStep:
    job = view.job
    ttl_seconds = job.ttl_seconds_after_finished
    is_expired = ttl_seconds is not None and job.finished_at is not None and now >= job.finished_at + ttl_seconds
    actions: tuple[Action, ...] = due_notices(view, job.status, now=now)
    if is_expired and not actions and not job.is_being_deleted:
        actions = (DeleteObject(),)
    return JobStep(actions=actions, status=job.status)


def _submit(view: JobView, *, now: float) -> JobStep:
    job = view.job
    if job.is_being_deleted:
        return JobStep(actions=(), status=job.status)
    try:
        check_spec(job)
        plan = None if view.pool is None else build_plan(job, view.pool)
    except SpecRefused as refusal:
        return _refuse(view, f"{refusal}.", now=now)
    validated = _validated(view)
    if job.is_to_be_suspended:
        return _step(view, situations.suspended(None, validated=(validated,)), now=now)
    if submission_is_overdue(job, now=now):
        return _step(view, situations.expired(_overdue(view)), now=now)
    return _begin(view, plan, validated, now=now)


def _validated(view: JobView) -> Condition:
    if view.pool is not None:
        return situations.accepted(view.pool.name)
    return situations.pool_not_found(view.job.worker_pool_name, view.job.namespace, view.pool_names)


def _begin(view: JobView, plan: PlanTask | None, validated: Condition, *, now: float) -> JobStep:
    reason, message = Reason.NOT_SUBMITTED, "The job is about to be submitted."
    actions: tuple[Action, ...] = ()
    if plan is None:
        reason, message = Reason.WORKER_POOL_NOT_FOUND, validated.message
    elif isinstance(view.ledger, LedgerUnknown):
        reason = Reason.LEDGER_UNREACHABLE
        message = f"{view.ledger.message.rstrip('.')}. The job is submitted when Redis answers."
    else:
        actions = (Submit(attempt=_attempt(view)), PublishPlan(plan, share=share_of(view.job)))
    waiting = situations.waiting_to_be_submitted(validated, reason=reason, message=message)
    return _step(view, waiting, *actions, now=now)


def _refuse(view: JobView, message: str, *, now: float) -> JobStep:
    # A ledger remembers who was told; a job that tells nobody needs none. Without Redis it is refused all the same.
    actions: tuple[Action, ...] = ()
    if view.job.notifications and not isinstance(view.ledger, LedgerUnknown):
        actions = (Submit(attempt=_attempt(view)), Stop(JobFailure.INPUT_INVALID, message))
    return _step(view, situations.refused(message), *actions, now=now)


def _attempt(view: JobView) -> int:
    """Count how often the job was begun: a job that was queued before has lost its ledger."""
    job = view.job
    was_submitted = job.started_at is not None or "queueTime" in job.status
    return int(job.status.get("attempt", 1)) + 1 if was_submitted else 1


def _overdue(view: JobView) -> str:
    job = view.job
    missing = "" if view.pool is not None else f" There is no WorkerPool {job.worker_pool_name!r}."
    return (
        f"The job could not be submitted within queueingDeadlineSeconds ({job.queueing_deadline_seconds} s).{missing} "
        "Create it anew once its workers are there."
    )


def _follow(view: JobView, reading: LedgerReading, *, now: float) -> JobStep:
    job = view.job
    has_ended = bool(reading.stop_reason) or reading.state == State.FINALIZED
    counts = count(job, reading, has_ended=has_ended)
    if has_ended:
        ended = situations.ended(reading, counts, partial_failure_fails=job.partial_failure_fails)
        return _step(view, ended, *_tidied(view.job, reading), now=now)
    if reading.is_suspended:
        situation = situations.suspended(reading)
    else:
        trouble = view.publish_trouble or (view.pool.broker_trouble if view.pool is not None else "")
        situation = situations.active(reading, counts, view.pool, trouble=trouble)
    return _step(view, situation, *_next_actions(view, reading, now=now), now=now)


def _tidied(job: PredictionJob, reading: LedgerReading) -> tuple[Action, ...]:
    """Have the checkpoints removed of a job that failed; one that is done removed them itself."""
    if reading.is_tidied or reading.state == State.FINALIZED:
        return ()
    task = tidying(JobRef(namespace=job.namespace, name=job.name, uid=job.uid), reading.output_uri)
    return () if task is None else (Tidy(task),)


def _next_actions(view: JobView, reading: LedgerReading, *, now: float) -> tuple[Action, ...]:
    job = view.job
    if job.is_being_deleted:
        return (Stop(JobFailure.CANCELLED, "The PredictionJob is being deleted."),)
    if job.is_to_be_suspended:
        return () if reading.is_suspended else (Suspend(),)
    late = stop_for_deadline(job, reading, now=now)
    if late is not None:
        return (late,)
    return () if view.pool is None else _published_again(view, view.pool, reading, now=now)


def _published_again(view: JobView, pool: PoolView, reading: LedgerReading, *, now: float) -> tuple[Action, ...]:
    anew = renewal(view.job, pool, reading, now=now)
    if not anew and not plan_is_due(reading, now=now):
        return ()
    try:
        return (*anew, PublishPlan(build_plan(view.job, pool), share=share_of(view.job)))
    except SpecRefused as refusal:
        return (Stop(JobFailure.INPUT_INVALID, f"{refusal}."),)


def _step(view: JobView, situation: Situation, *actions: Action, now: float) -> JobStep:
    status = build_status(view, situation, now=now)
    return JobStep(actions=(*actions, *due_notices(view, status, now=now)), status=status)
