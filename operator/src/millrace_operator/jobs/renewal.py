"""Decide when what is out of a job is to be published again: its plan, or all that is not done. Pure.

Publishing again does nothing twice: a plan that runs twice finds the index of the first, and shards of an earlier
epoch are stale. So the waits need only be long enough not to burden the broker.
"""

from typing import Any, Final

from millrace_contracts.ledger import State
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.readings import LedgerReading, PoolView
from millrace_operator.jobs.reasons import Reason
from millrace_operator.jobs.spec import share_of
from millrace_operator.jobs.steps import DispatchAnew

PLAN_UNSEEN_SECONDS: Final = 30.0
"""A plan that no worker has begun after this long is published again."""

PLAN_STALLED_SECONDS: Final = 300.0
"""A plan that began and neither ended nor made progress. Longer, since a second run publishes the shards again."""

PLAN_WAIT_LIMIT_SECONDS: Final = 600.0
"""The wait doubles with each publication up to this: a system pool that was away for hours finds a few plans."""

LOST_SECONDS: Final = 120.0
"""A job whose queue is empty, of which no worker holds a task, and that makes no progress for this long."""

LOST_WAITING_SECONDS: Final = 600.0
"""The same for a job whose shards were given back, and lie in a delay until they are tried again."""

LOST_WAIT_LIMIT_SECONDS: Final = 3600.0

_OUT: Final = frozenset({State.DISPATCHING, State.DISPATCHED})


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


def renewal(job: PredictionJob, pool: PoolView, reading: LedgerReading, *, now: float) -> tuple[DispatchAnew, ...]:
    """Decide whether all that is not done is to be published anew, and say why."""
    if reading.is_suspended:
        note: dict[str, Any] = {"resumed_at": repr(now), "attempt": reading.attempt + 1}
        message = "The job goes on with what is not done; its deadline counts from now."
        return (DispatchAnew(reason=Reason.RESUMED, message=message, note=note),)
    share = share_of(job)
    if reading.state in _OUT and reading.planned_as and reading.planned_as != share:
        message = f"What is not done is published anew with {share}, and no more with {reading.planned_as}."
        return (DispatchAnew(reason=Reason.SHARE_CHANGED, message=message, note={}),)
    if _messages_are_lost(reading, pool, now=now):
        note = {
            "renewed_at": repr(now),
            "renewals": _renewals(reading) + 1,
            "renewed_shards": reading.shards_done,
            "attempt": reading.attempt + 1,
        }
        message = (
            f"Queue {pool.queue} is empty, no worker holds a task of the job, and it has not got on for a while: "
            "its messages are lost. All that is not done is published anew; nothing is done twice."
        )
        return (DispatchAnew(reason=Reason.MESSAGES_LOST, message=message, note=note),)
    return ()


def _messages_are_lost(reading: LedgerReading, pool: PoolView, *, now: float) -> bool:
    if reading.state != State.DISPATCHED or pool.broker_trouble or pool.waiting_tasks != 0:
        return False
    # Workers that died hold shards until the broker delivers them again; one that has none out never will.
    if reading.in_flight and pool.running_tasks != 0:
        return False
    first_wait = LOST_WAITING_SECONDS if reading.waiting_for else LOST_SECONDS
    signs = (reading.plan_published_at, reading.last_progress_at, reading.renewed_at, reading.first_shard_at)
    last_sign = max((sign for sign in signs if sign is not None), default=now)
    return now - last_sign >= min(first_wait * 2.0 ** min(_renewals(reading), 10), LOST_WAIT_LIMIT_SECONDS)


def _renewals(reading: LedgerReading) -> int:
    """Count the renewals since the job last got on."""
    return reading.renewals if reading.shards_done == reading.renewed_shards else 0
