"""What the operator does about a job that runs: its messages are lost, or its user wants more or less of the pool."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection
from operated_job import OperatedJob, Operator, operated_jobs
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.ledger import Field
from millrace_operator.jobs.reasons import Reason
from millrace_operator.jobs.renewal import LOST_SECONDS
from millrace_operator.jobs.steps import DispatchAnew, PublishPlan

RECORDS_PER_TASK = 3
"""Of the model "slow", 50 ms each."""

TASKS, FEW = 40, 9
"""Of a job that takes six seconds at least, so that a slow test still comes in its midst, and of one beside it."""

WINDOW = 8
"""Tasks of a job that are out at a time, as long as nobody says anything else."""


@pytest.fixture
def operator(pool: Platform) -> Iterator[Operator]:
    with operated_jobs(pool) as operator:
        yield operator


def apply(operator: Operator, *, tasks: int, **spec: Any) -> OperatedJob:
    """Make a job of so many tasks over slow records of a file, and look at it for the first time."""
    count = RECORDS_PER_TASK * tasks
    source = operator.platform.write_input([json.dumps({"id": i, "x": [i, 0]}) for i in range(count)], f"{tasks}.jsonl")
    job = operator.apply(
        model={"name": "slow"},
        input={"persistentVolumeClaim": {"claimName": source.claim_name, "path": source.path}, "keyField": "id"},
        batching={"recordsPerTask": RECORDS_PER_TASK, "maxInFlightRequests": 1},
        **spec,
    )
    job.look()
    return job


def purge(pool: Platform) -> int:
    """Throw away what waits in the pool's queue; answers how many messages that were."""
    with Connection(pool.broker_url) as connection, connection.channel() as channel:
        return int(channel.queue_purge(pool.queue))


def logged(pool: Platform, event: str) -> list[dict[str, Any]]:
    """Answer all lines of the worker's log that tell of an event."""
    return [json.loads(line) for line in pool.workers[0].log.splitlines() if f'"event": "{event}"' in line]


def done(pool: Platform, *, that_count: bool = True) -> list[str]:
    """Name the jobs of the tasks that were done, in their order; one that counts nothing was computed before."""
    return [str(each["uid"]) for each in logged(pool, "shard done") if each["counted"] or not that_count]


def wait_until_planned_again(job: OperatedJob) -> None:
    def plans() -> int:
        return [each["uid"] for each in logged(job.platform, "plan published")].count(job.known.uid)

    wait_until(lambda: plans() == 2, what="the second plan", explain=job.known.explain)


def wait_until_logged(counts: Callable[[], dict[int, int]]) -> None:
    """Wait until each count is as it is to be: a task is logged a little after the ledger has it."""
    wait_until(
        lambda: all(expected == seen for expected, seen in counts().items()),
        what="the log of all tasks",
        explain=counts,
    )


def out(job: OperatedJob) -> int:
    """Count the tasks of a job that wait in the queue or are held by a worker."""
    return job.known.number(Field.SHARDS_DISPATCHED) - job.known.number(Field.SHARDS_DONE)


def test_a_job_whose_queue_was_purged_is_given_out_anew_and_nothing_is_done_twice(
    pool: Platform, operator: Operator
) -> None:
    job = apply(operator, tasks=TASKS)
    job.known.wait_for(Field.SHARDS_DONE, at_least=2)
    lost = purge(pool)
    assert lost > 0
    # What workers held brings the tasks after it, so the job goes on until only what was lost is left.
    job.known.wait_for(Field.SHARDS_DONE, at_least=TASKS - lost)
    assert (TASKS - lost, lost, 0) == (job.known.number(Field.SHARDS_DONE), out(job), pool.waiting())
    assert () == job.look(running_tasks=0)
    anew, plan = job.look(later_seconds=LOST_SECONDS + 1, running_tasks=0)
    assert isinstance(anew, DispatchAnew)
    assert isinstance(plan, PublishPlan)
    assert Reason.MESSAGES_LOST == anew.reason
    job.known.wait_until_finalized()
    records = RECORDS_PER_TASK * TASKS
    assert (records, records, 0) == job.known.counts
    assert {str(i): float(i) for i in range(records)} == {
        key: result["outputs"]["y"][0] for key, result in job.known.results.items()
    }
    wait_until_logged(lambda: {TASKS: done(pool, that_count=False).count(job.known.uid)})
    job.look_until("Succeeded")


def test_a_job_whose_priority_is_raised_in_mid_course_goes_before_all_others(
    pool: Platform, operator: Operator
) -> None:
    job, others = apply(operator, tasks=FEW), apply(operator, tasks=TASKS)
    job.known.wait_for(Field.SHARDS_DONE, at_least=1)
    assert () == job.look()
    job.spec["priority"] = 7
    anew, _ = job.look()
    assert isinstance(anew, DispatchAnew)
    assert (Reason.SHARE_CHANGED, True) == (anew.reason, "priority=7" in anew.message)
    wait_until_planned_again(job)
    before = done(pool).count(others.known.uid)
    assert before <= TASKS - WINDOW, "too late to see anything"
    job.known.wait_for(Field.SHARDS_DONE, at_least=FEW)
    order = done(pool)
    last = len(order) - 1 - order[::-1].index(job.known.uid)
    # A worker of two slots may hold two of the others while the plan is at work, and as many as it fetched before.
    assert order[:last].count(others.known.uid) - before <= 4
    for one in (job, others):
        one.known.wait_until_finalized()
    few, many = RECORDS_PER_TASK * FEW, RECORDS_PER_TASK * TASKS
    assert [(few, few, 0), (many, many, 0)] == [one.known.counts for one in (job, others)]
    wait_until_logged(lambda: {FEW: done(pool).count(job.known.uid), TASKS: done(pool).count(others.known.uid)})


def test_a_job_that_may_use_fewer_workers_than_before_has_no_more_tasks_out_than_they_hold(
    pool: Platform, operator: Operator
) -> None:
    job = apply(operator, tasks=TASKS)
    job.known.wait_for(Field.SHARDS_DONE, at_least=1)
    assert out(job) > 2
    job.spec["concurrency"] = {"maxWorkers": 1}
    anew, _ = job.look()
    assert isinstance(anew, DispatchAnew)
    wait_until_planned_again(job)
    seen: list[int] = []

    def is_done() -> bool:
        seen.append(out(job))
        return job.known.number(Field.SHARDS_DONE) == TASKS

    wait_until(is_done, what="all tasks", interval_seconds=0.02, explain=job.known.explain)
    assert 2 == max(seen)
    job.known.wait_until_finalized()
    assert (RECORDS_PER_TASK * TASKS, RECORDS_PER_TASK * TASKS, 0) == job.known.counts
    wait_until_logged(lambda: {TASKS: done(pool).count(job.known.uid)})
