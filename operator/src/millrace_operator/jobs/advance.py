"""Decide what is to be done about one PredictionJob, from what is seen of it at one moment. Pure.

Level triggered: nothing is remembered between two looks. An operator that was away, a pool that came late, a plan
that got lost and a Redis that came back empty are all just what is seen now.
"""

from typing import Final

from millrace_contracts.errors import JobFailure
from millrace_contracts.ledger import State
from millrace_operator.jobs import situation as situations
from millrace_operator.jobs.readings import JobView, LedgerReading, LedgerUnknown
from millrace_operator.jobs.reasons import JobState, Reason
from millrace_operator.jobs.situation import Situation
from millrace_operator.jobs.spec import SpecRefused, build_plan, check_spec
from millrace_operator.jobs.status import build_status, count
from millrace_operator.jobs.steps import Action, DeleteObject, JobStep, PublishPlan, Stop, Submit

PLAN_UNSEEN_SECONDS: Final = 30.0
"""A plan that no worker has begun after this long is published again; running it twice does nothing twice."""

PLAN_STALLED_SECONDS: Final = 300.0
"""A plan that began and neither ended nor made progress. Longer, since a second run publishes the shards again."""

PLAN_WAIT_LIMIT_SECONDS: Final = 600.0
"""The wait doubles with each publication up to this: a system pool that was away for hours finds a few plans."""

_SUBMITTED_STATES: Final = frozenset({JobState.QUEUED.value, JobState.RUNNING.value, JobState.FINALIZING.value})


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
    actions = (DeleteObject(),) if is_expired and not job.is_being_deleted else ()
    return JobStep(actions=actions, status={**job.status, "observedGeneration": job.generation})


def _submit(view: JobView, *, now: float) -> JobStep:
    job = view.job
    if job.is_being_deleted:
        return JobStep(actions=(), status=job.status)
    try:
        check_spec(job)
        plan = None if view.pool is None else build_plan(job, queue=view.pool.queue)
    except SpecRefused as refusal:
        return _step(view, situations.refused(f"{refusal}."), now=now)
    if view.pool is None or plan is None:
        validated = situations.pool_not_found(job.worker_pool_name, job.namespace, view.pool_names)
        waiting = situations.waiting_to_be_submitted(
            validated, reason=Reason.WORKER_POOL_NOT_FOUND, message=validated.message
        )
        return _step(view, waiting, now=now)
    accepted = situations.accepted(view.pool.name)
    if isinstance(view.ledger, LedgerUnknown):
        message = f"{view.ledger.message.rstrip('.')}. The job is submitted when Redis answers."
        waiting = situations.waiting_to_be_submitted(accepted, reason=Reason.LEDGER_UNREACHABLE, message=message)
        return _step(view, waiting, now=now)
    waiting = situations.waiting_to_be_submitted(
        accepted, reason=Reason.NOT_SUBMITTED, message="The job is about to be submitted."
    )
    return _step(view, waiting, Submit(is_again=job.started_at is not None), PublishPlan(plan), now=now)


def _follow(view: JobView, reading: LedgerReading, *, now: float) -> JobStep:
    has_ended = bool(reading.stop_reason) or reading.state == State.FINALIZED
    counts = count(view.job, reading, has_ended=has_ended)
    if has_ended:
        return _step(view, situations.ended(reading, counts), now=now)
    trouble = view.publish_trouble or (view.pool.broker_trouble if view.pool is not None else "")
    situation = situations.active(reading, counts, view.pool, trouble=trouble)
    return _step(view, situation, *_next_actions(view, reading, now=now), now=now)


def _next_actions(view: JobView, reading: LedgerReading, *, now: float) -> tuple[Action, ...]:
    job = view.job
    if job.is_being_deleted:
        return (Stop(JobFailure.CANCELLED, "The PredictionJob is being deleted."),)
    if _is_past_deadline(view, reading, now=now):
        return (Stop(JobFailure.DEADLINE_EXCEEDED, _deadline_message(view, reading)),)
    if view.pool is None or not plan_is_due(reading, now=now):
        return ()
    try:
        return (PublishPlan(build_plan(job, queue=view.pool.queue)),)
    except SpecRefused as refusal:
        return (Stop(JobFailure.INPUT_INVALID, f"{refusal}."),)


def plan_is_due(reading: LedgerReading, *, now: float) -> bool:
    """Tell whether the plan is to be published now, for the first time or again."""
    if reading.state not in {State.SUBMITTED, State.DISPATCHING}:
        return False
    if reading.plan_published_at is None:
        return True
    first_wait = PLAN_UNSEEN_SECONDS if reading.state == State.SUBMITTED else PLAN_STALLED_SECONDS
    doublings = min(max(reading.plan_publications - 1, 0), 10)
    last_sign = max(reading.plan_published_at, reading.last_progress_at or 0.0)
    return now - last_sign >= min(first_wait * 2.0**doublings, PLAN_WAIT_LIMIT_SECONDS)


def _is_past_deadline(view: JobView, reading: LedgerReading, *, now: float) -> bool:
    limit_seconds = view.job.active_deadline_seconds
    started_at = view.job.started_at or reading.submitted_at
    if limit_seconds is None or started_at is None:
        return False
    return now >= started_at + limit_seconds


def _deadline_message(view: JobView, reading: LedgerReading) -> str:
    counts = count(view.job, reading, has_ended=False)
    done = f"{counts.done} of {counts.total} records were done" if counts.total >= 0 else "the input had not been read"
    return (
        f"The job took longer than activeDeadlineSeconds ({view.job.active_deadline_seconds} s); {done}. "
        "Give it more time or more workers, and create it anew."
    )


def _step(view: JobView, situation: Situation, *actions: Action, now: float) -> JobStep:
    return JobStep(actions=actions, status=build_status(view, situation, now=now))
