"""What the operator does about a job that runs: its messages are lost, or its user wants more or less of the pool."""

import json
from collections.abc import Iterator
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

    wait_until(lambda: plans() == 2, what="the second plan", timeout_seconds=30, explain=job.known.explain)


def out(job: OperatedJob) -> int:
    """Count the tasks of a job that wait in the queue or are held by a worker."""
    return job.known.number(Field.SHARDS_DISPATCHED) - job.known.number(Field.SHARDS_DONE)


def test_a_job_whose_queue_was_purged_is_given_out_anew_and_nothing_is_done_twice(
    pool: Platform, operator: Operator
) -> None:
    job = apply(operator, tasks=15)
    job.known.wait_for(Field.SHARDS_DONE, at_least=2)
    lost = purge(pool)
    assert lost > 0
    # What workers held brings the tasks after it, so the job goes on until only what was lost is left.
    job.known.wait_for(Field.SHARDS_DONE, at_least=15 - lost)
    assert (15 - lost, lost, 0) == (job.known.number(Field.SHARDS_DONE), out(job), pool.waiting())
    assert () == job.look(running_tasks=0)
    anew, plan = job.look(later_seconds=LOST_SECONDS + 1, running_tasks=0)
    assert isinstance(anew, DispatchAnew)
    assert isinstance(plan, PublishPlan)
    assert Reason.MESSAGES_LOST == anew.reason
    job.known.wait_until_finalized()
    assert (45, 45, 0) == job.known.counts
    assert {str(i): float(i) for i in range(45)} == {
        key: result["outputs"]["y"][0] for key, result in job.known.results.items()
    }
    assert 15 == done(pool, that_count=False).count(job.known.uid)
    job.look_until("Succeeded")


def test_a_job_whose_priority_is_raised_in_mid_course_goes_before_all_others(
    pool: Platform, operator: Operator
) -> None:
    job, others = apply(operator, tasks=9), apply(operator, tasks=24)
    job.known.wait_for(Field.SHARDS_DONE, at_least=1)
    assert () == job.look()
    job.spec["priority"] = 7
    anew, _ = job.look()
    assert isinstance(anew, DispatchAnew)
    assert (Reason.SHARE_CHANGED, True) == (anew.reason, "priority=7" in anew.message)
    wait_until_planned_again(job)
    before = done(pool).count(others.known.uid)
    assert before <= 24 - WINDOW, "too late to see anything"
    job.known.wait_for(Field.SHARDS_DONE, at_least=9)
    order = done(pool)
    last = len(order) - 1 - order[::-1].index(job.known.uid)
    # A worker of two slots may hold two of the others while the plan is at work, and as many as it fetched before.
    assert order[:last].count(others.known.uid) - before <= 4
    for one in (job, others):
        one.known.wait_until_finalized()
    assert [(27, 27, 0), (72, 72, 0)] == [one.known.counts for one in (job, others)]
    assert [9, 24] == [done(pool).count(one.known.uid) for one in (job, others)]


def test_a_job_that_may_use_fewer_workers_than_before_has_no_more_tasks_out_than_they_hold(
    pool: Platform, operator: Operator
) -> None:
    job = apply(operator, tasks=16)
    job.known.wait_for(Field.SHARDS_DONE, at_least=1)
    assert out(job) > 2
    job.spec["concurrency"] = {"maxWorkers": 1}
    anew, _ = job.look()
    assert isinstance(anew, DispatchAnew)
    wait_until_planned_again(job)
    seen: list[int] = []

    def is_done() -> bool:
        seen.append(out(job))
        return job.known.number(Field.SHARDS_DONE) == 16

    wait_until(is_done, what="all tasks", timeout_seconds=30, interval_seconds=0.02, explain=job.known.explain)
    assert 2 == max(seen)
    job.known.wait_until_finalized()
    assert (48, 48, 0) == job.known.counts
    assert 16 == done(pool).count(job.known.uid)
