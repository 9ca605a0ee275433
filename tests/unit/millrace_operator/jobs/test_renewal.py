"""When what is out of a job is published again, and when it is left alone."""

from typing import Any

import pytest
from operator_jobs import NOW, POOL, job, running, view

from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.readings import LedgerReading, PoolView
from millrace_operator.jobs.reasons import Reason
from millrace_operator.jobs.spec import share_of
from millrace_operator.jobs.steps import Action, DispatchAnew, PublishPlan, Suspend

EMPTY = PoolView(name="digits", queue="digits", ready_replicas=1, waiting_tasks=0, running_tasks=0)


def silent(seconds: float, **fields: Any) -> LedgerReading:
    """Build the ledger of a job that is out and has not got on for so long."""
    known: dict[str, Any] = {"in_flight": 0, "last_progress_at": NOW - seconds, "planned_as": share_of(job())}
    return running(**(known | fields))


def actions(ledger: LedgerReading, *, pool: PoolView = EMPTY, **spec: Any) -> tuple[Action, ...]:
    return advance(view(job(**spec), ledger, pool=pool), now=NOW).actions


def is_renewed(ledger: LedgerReading, *, pool: PoolView = EMPTY) -> bool:
    found = actions(ledger, pool=pool)
    assert found == () or [DispatchAnew, PublishPlan] == [type(action) for action in found]
    return bool(found)


@pytest.mark.parametrize(("seconds", "expected"), [(119, False), (120, True)])
def test_a_job_whose_messages_are_nowhere_is_published_anew_after_two_minutes(
    seconds: float, *, expected: bool
) -> None:
    # last_progress_at of the ledger is what counts, although its plan was published later than that.
    assert expected == is_renewed(silent(seconds, plan_published_at=NOW - 500, first_shard_at=NOW - 400))


@pytest.mark.parametrize(
    ("pool", "why"),
    [
        (PoolView(name="digits", queue="digits", waiting_tasks=1, running_tasks=0), "its messages may be among those"),
        (PoolView(name="digits", queue="digits"), "the queue was not read"),
        (PoolView(name="digits", queue="digits", waiting_tasks=0, broker_trouble="RabbitMQ is away"), "nobody knows"),
    ],
)
def test_messages_count_as_lost_only_where_the_queue_is_known_to_be_empty(pool: PoolView, why: str) -> None:
    assert not is_renewed(silent(10_000, plan_published_at=NOW - 20_000, first_shard_at=NOW - 20_000), pool=pool), why


@pytest.mark.parametrize(("running_tasks", "expected"), [(1, False), (None, False), (0, True)])
def test_shards_that_a_worker_holds_are_not_lost_unless_the_broker_has_none_out(
    running_tasks: int | None, *, expected: bool
) -> None:
    pool = PoolView(name="digits", queue="digits", waiting_tasks=0, running_tasks=running_tasks)
    ledger = silent(10_000, in_flight=200, plan_published_at=NOW - 20_000, first_shard_at=NOW - 20_000)
    assert expected == is_renewed(ledger, pool=pool)


@pytest.mark.parametrize(("seconds", "expected"), [(599, False), (600, True)])
def test_shards_that_were_given_back_have_longer(seconds: float, *, expected: bool) -> None:
    long_ago = {"plan_published_at": NOW - 20_000, "first_shard_at": NOW - 20_000}
    assert expected == is_renewed(silent(seconds, waiting_for="Triton is away", **long_ago))


@pytest.mark.parametrize(
    ("renewals", "done_then", "seconds", "expected"),
    [(1, 1, 239, False), (1, 1, 240, True), (3, 1, 959, False), (20, 1, 3600, True), (3, 0, 120, True)],
)
def test_the_wait_doubles_until_the_job_gets_on(
    renewals: int, done_then: int, seconds: float, *, expected: bool
) -> None:
    ledger = silent(
        20_000,
        renewals=renewals,
        renewed_shards=done_then,
        renewed_at=NOW - seconds,
        plan_published_at=NOW - 20_000,
        first_shard_at=NOW - 20_000,
    )
    assert expected == is_renewed(ledger)


def test_a_changed_share_of_the_pool_is_published_and_an_equal_one_is_not() -> None:
    assert () == actions(silent(1), priority=4)
    anew, plan = actions(silent(1), priority=9, concurrency={"maxWorkers": 2})
    assert isinstance(anew, DispatchAnew)
    assert isinstance(plan, PublishPlan)
    assert (Reason.SHARE_CHANGED, 9, 2) == (anew.reason, plan.task.spec.priority, plan.task.window)


def test_a_job_is_suspended_once_and_then_left_alone() -> None:
    assert (Suspend(),) == actions(silent(1), suspend=True)
    assert () == actions(silent(10_000, is_suspended=True), suspend=True)


def test_a_job_that_is_taken_up_again_is_published_anew_and_its_clock_starts() -> None:
    anew, plan = actions(silent(10_000, is_suspended=True), pool=POOL, activeDeadlineSeconds=60)
    assert isinstance(anew, DispatchAnew)
    assert isinstance(plan, PublishPlan)
    assert (Reason.RESUMED, repr(NOW), 2) == (anew.reason, anew.note["resumed_at"], anew.note["attempt"])
