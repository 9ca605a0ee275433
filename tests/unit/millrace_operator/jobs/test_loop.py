"""The whole loop against ports of our own; the ledger store against a real Redis is in the integration tests."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from job_loop import Rig
from operator_jobs import UID, job_body, verdict

from millrace_contracts.errors import JobFailure
from millrace_operator.jobs.loop import HURRIED_PAUSE_SECONDS
from millrace_operator.jobs.readings import Ledger, LedgerReading


def test_one_look_submits_publishes_and_reports_queued() -> None:
    rig = Rig(job_body())
    rig.look()
    assert (1, "Queued", ["Submitted"]) == (len(rig.cluster.plans), rig.status["state"], rig.cluster.events)


def test_after_something_was_done_for_a_job_the_next_looks_come_soon() -> None:
    rig = Rig(job_body())
    before = rig.loop.pause_seconds()
    rig.look()
    assert (1.0, HURRIED_PAUSE_SECONDS) == (before, rig.loop.pause_seconds())
    rig.look(5)
    assert 1.0 == rig.loop.pause_seconds()


def test_a_job_that_does_not_change_is_not_written_again() -> None:
    rig = Rig(job_body())
    rig.look(20)
    assert 1 == len(rig.cluster.written)


def test_counts_are_written_at_most_every_five_seconds() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=1000, shards_total=10, first_shard_at=1.0)
    rig.look()
    written = len(rig.cluster.written)
    for succeeded in range(1, 11):
        rig.set(succeeded=succeeded)
        rig.look()
    assert 2 == len(rig.cluster.written) - written


def test_an_api_that_is_slow_delays_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace_operator.jobs.loop.PATIENCE_SECONDS", 0.01)
    rig = Rig(job_body(), job_body(name="second", uid="second"))
    rig.cluster.is_slow = True
    rig.look()
    assert (2, []) == (len(rig.cluster.plans), rig.cluster.written)
    rig.cluster.is_slow = False
    rig.look()
    assert 2 == len(rig.cluster.written)


def test_a_restarted_operator_neither_publishes_nor_announces_again() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.loop = rig.new_loop()
    rig.look(3)
    assert (1, ["Submitted"]) == (len(rig.cluster.plans), rig.cluster.events)


def test_a_watch_that_lags_behind_does_not_make_the_loop_say_things_twice() -> None:
    rig = Rig(job_body())
    rig.cluster.delivers = False
    rig.look(3)
    assert (1, ["Submitted"]) == (len(rig.cluster.written), rig.cluster.events)


def test_a_plan_that_the_broker_did_not_take_is_published_when_it_is_back() -> None:
    rig = Rig(job_body())
    rig.cluster.broker_is_away = True
    rig.look(2)
    assert ("True", "BrokerUnreachable") == verdict(rig.status, "Queued")
    rig.cluster.broker_is_away = False
    rig.look(2)
    assert (1, ("True", "WaitingForPlan")) == (len(rig.cluster.plans), verdict(rig.status, "Queued"))


def test_redis_that_comes_back_resumes_the_job() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.ledgers.is_away = True
    rig.look()
    assert ("True", "LedgerUnreachable") == verdict(rig.status, "Queued")
    rig.ledgers.is_away = False
    rig.look()
    assert ("True", "WaitingForPlan") == verdict(rig.status, "Queued")


def test_redis_that_comes_back_empty_starts_the_job_anew_and_says_so() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.ledgers.readings.clear()
    rig.look()
    assert (2, ["Submitted", "LedgerLost"]) == (len(rig.cluster.plans), rig.cluster.events)


def test_a_status_that_could_not_be_written_is_written_at_the_next_look() -> None:
    rig = Rig(job_body())
    rig.cluster.api_is_away = True
    rig.look()
    rig.cluster.api_is_away = False
    rig.look()
    assert ("Queued", ["Submitted"]) == (rig.status["state"], rig.cluster.events)


def test_a_job_past_its_deadline_ends_in_the_same_look() -> None:
    rig = Rig(job_body(activeDeadlineSeconds=3))
    rig.look(4)
    assert ([JobFailure.DEADLINE_EXCEEDED], "Failed") == (rig.ledgers.stops, rig.status["state"])
    assert ("False", "DeadlineExceeded") == verdict(rig.status, "Succeeded")


def test_an_object_that_breaks_the_loop_does_not_hold_up_the_others() -> None:
    broken = job_body(name="broken", uid="broken", output={"redis": {}})
    broken["status"] = {"startTime": "not a time"}
    rig = Rig(broken, job_body())
    rig.look()
    assert "Queued" == rig.status["state"]


def test_suspend_and_resume_publish_what_is_not_done_anew_and_tell_of_it() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=10, shards_total=10, first_shard_at=1.0)
    rig.apply(suspend=True)
    rig.look()
    assert ("Suspended", True) == (rig.status["state"], rig.ledgers.readings[UID].is_suspended)
    rig.apply(suspend=False)
    rig.look()
    assert (2, 2, "Running") == (len(rig.cluster.plans), rig.status["attempt"], rig.status["state"])
    assert ["Submitted", "Suspended", "Resumed"] == [e for e in rig.cluster.events if e != "Started"]


def test_a_changed_priority_reaches_what_is_not_done() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=10, shards_total=10, first_shard_at=1.0)
    rig.apply(priority=9)
    rig.look(3)
    assert [4, 9] == [plan.spec.priority for plan in rig.cluster.plans]


def test_each_receiver_is_told_once_also_by_a_new_operator() -> None:
    webhook = {"events": ["Succeeded"], "webhook": {"url": "https://a/b"}}
    rig = Rig(job_body(notifications=[webhook, {"events": ["Started", "Succeeded"], "event": {}}]))
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, first_shard_at=1.0, finalized_at=1.0)
    rig.look(2)
    rig.loop = rig.new_loop()
    rig.look(2)
    assert ["Succeeded:0"] == rig.cluster.notices
    assert [1, 1] == [rig.cluster.events.count(event) for event in ("Started", "Succeeded")]


def test_word_that_the_broker_did_not_take_is_sent_when_it_is_back_though_the_job_has_ended() -> None:
    rig = Rig(job_body(notifications=[{"events": ["Succeeded"], "kafka": {"topic": "t"}}]))
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, finalized_at=1.0)
    rig.cluster.broker_is_away = True
    rig.look(2)
    rig.loop = rig.new_loop()
    rig.cluster.broker_is_away = False
    rig.look(2)
    assert ("Succeeded", ["Succeeded:0"]) == (rig.status["state"], rig.cluster.notices)


def test_shards_that_are_held_back_are_told_to_their_pool_also_while_redis_is_away() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=100, shards_total=100, shards_dispatched=8, first_shard_at=1.0)
    rig.look()
    assert {("millrace", "digits"): 92} == rig.cluster.held_back_tasks
    rig.ledgers.is_away = True
    rig.look()
    assert {("millrace", "digits"): 92} == rig.cluster.held_back_tasks


def test_a_job_that_was_planned_since_is_told_when_its_pool_asks() -> None:
    """Otherwise the pool would see its first shards in the queue, and only in the next pass the many others."""
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=100, shards_total=100, shards_dispatched=8, first_shard_at=1.0)

    asyncio.run(rig.cluster.look_again())

    assert {("millrace", "digits"): 92} == rig.cluster.held_back_tasks


def test_no_ledger_is_read_for_the_pools_when_every_job_is_planned() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=100, shards_total=100, shards_dispatched=8, first_shard_at=1.0)
    rig.look()
    read = len(rig.ledgers.asked)

    asyncio.run(rig.cluster.look_again())

    assert read == len(rig.ledgers.asked)


@pytest.mark.parametrize("why", [{"stop_reason": "Cancelled"}, {"state": "finalized"}], ids=lambda why: next(iter(why)))
def test_a_job_that_will_not_be_planned_is_not_looked_at_again_for_the_pools(why: dict[str, Any]) -> None:
    """A hundred of those would keep the next one from being looked at."""
    rig = Rig(job_body())
    rig.look()
    rig.set(**why)
    rig.look()
    read = len(rig.ledgers.asked)

    asyncio.run(rig.cluster.look_again())

    assert read == len(rig.ledgers.asked)


def test_a_job_that_is_suspended_is_not_being_planned() -> None:
    planned = LedgerReading(state="submitted", plan_published_at=1.0)

    assert planned.is_being_planned
    assert not replace(planned, is_suspended=True).is_being_planned


def test_a_redis_that_does_not_answer_delays_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millrace_operator.jobs.loop.SECOND_LOOK_SECONDS", 0.01)
    rig = Rig(job_body())
    rig.look()

    async def never(_: list[str]) -> dict[str, Ledger]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(rig.ledgers, "read_all", never)
    asyncio.run(rig.cluster.look_again())

    assert {("millrace", "digits"): 0} == rig.cluster.held_back_tasks


def test_a_job_with_max_workers_asks_for_no_more_than_its_share() -> None:
    rig = Rig(job_body(concurrency={"maxWorkers": 1}))
    rig.look()
    rig.set(state="dispatched", total=100, shards_total=100, shards_dispatched=1, first_shard_at=1.0)
    rig.look()
    assert {} == rig.cluster.held_back_tasks


def test_jobs_that_have_ended_are_not_read_from_redis_again() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, finalized_at=1.0)
    rig.look(2)
    rig.ledgers.asked.clear()
    rig.look(3)
    assert [] == [uid for uids in rig.ledgers.asked for uid in uids]


def test_a_running_job_whose_pool_was_deleted_says_so_until_the_pool_is_back() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=10, shards_total=10, first_shard_at=1.0)
    rig.look()
    pools, rig.cluster.pools = rig.cluster.pools, []
    rig.look(2)
    assert ("Running", ("Unknown", "WorkerPoolNotFound")) == (rig.status["state"], verdict(rig.status, "Succeeded"))
    assert 1 == rig.cluster.events.count("WorkerPoolNotFound")
    rig.cluster.pools = pools
    rig.look()
    assert ("Unknown", "ShardsRunning") == verdict(rig.status, "Succeeded")
