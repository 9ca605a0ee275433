"""Laws of jobs that hold for every ledger, every order of looks, every outage."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from operator_jobs import NOW, POOL, finalized, job, running, submitted, view

from millrace_contracts.errors import JobFailure
from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.readings import Ledger, LedgerMissing, LedgerReading, LedgerUnknown, PoolView

small = st.integers(0, 50)
readings = st.builds(
    LedgerReading,
    state=st.sampled_from(["submitted", "dispatching", "dispatched", "finalized"]),
    submitted_at=st.just(NOW - 60),
    plan_published_at=st.none() | st.just(NOW - 50),
    plan_publications=small,
    total=st.none() | small,
    shards_total=st.none() | small,
    shards_done=small,
    succeeded=small,
    failed=small,
    in_flight=small,
    first_shard_at=st.none() | st.just(NOW - 40),
    last_progress_at=st.none() | st.just(NOW - 30),
    waiting_for=st.sampled_from(["", "Triton is away"]),
    stop_reason=st.sampled_from(["", *(failure.value for failure in JobFailure)]),
    is_suspended=st.booleans(),
    shards_active=small,
    cached=small,
    ignored=small,
    dead_lettered=st.sampled_from([0, 0, 2]),
    resumed_at=st.none() | st.just(NOW - 20),
    done_bits=st.binary(max_size=8),
)
ledgers: st.SearchStrategy[Ledger] = st.one_of(
    readings, st.just(LedgerMissing()), st.just(LedgerUnknown("Redis is away"))
)
pools: st.SearchStrategy[PoolView | None] = st.sampled_from(
    [POOL, None, PoolView(name="digits", queue="digits", broker_trouble="RabbitMQ is away")]
)
looks = st.lists(st.tuples(ledgers, pools), min_size=1, max_size=8)
TERMINAL = {"Succeeded", "PartiallySucceeded", "Failed", "Cancelled", "Expired"}


def follow(seen: list[tuple[Ledger, PoolView | None]], **spec: Any) -> list[dict[str, Any]]:
    """Look at a job several times, a second apart; each look begins with what the one before reported."""
    statuses: list[dict[str, Any]] = [{}]
    for second, (ledger, pool) in enumerate(seen):
        step = advance(view(job(status=statuses[-1], **spec), ledger, pool=pool), now=NOW + second)
        statuses.append(dict(step.status))
    return statuses[1:]


@given(looks)
def test_counts_sum_at_every_moment(seen: list[tuple[Ledger, PoolView | None]]) -> None:
    for status in follow(seen):
        records = status["records"]
        parts = records["succeeded"] + records["failed"] + records["pending"] + records["inFlight"]
        assert max(records["total"], 0) == parts


@given(looks)
def test_an_ended_job_never_changes_again(seen: list[tuple[Ledger, PoolView | None]]) -> None:
    statuses = follow(seen)
    ended = [status for status in statuses if status["state"] in TERMINAL]
    assert ended[:1] * len(ended) == ended
    assert ended == statuses[len(statuses) - len(ended) :]


@given(looks)
def test_state_and_summary_agree(seen: list[tuple[Ledger, PoolView | None]]) -> None:
    for status in follow(seen):
        summary = next(c for c in status["conditions"] if c["type"] == "Succeeded")["status"]
        good = {"Succeeded", "PartiallySucceeded"}
        expected = "True" if status["state"] in good else "False" if status["state"] in TERMINAL else "Unknown"
        assert expected == summary


@given(looks)
def test_every_condition_is_said_at_the_first_look_and_each_once(seen: list[tuple[Ledger, PoolView | None]]) -> None:
    for status in follow(seen):
        types = [condition["type"] for condition in status["conditions"]]
        assert len(types) == len(set(types))
        assert {"Queued", "Running", "Succeeded", "ResultsAvailable"} <= set(types)


@given(looks)
def test_a_job_ends_with_a_finish_time_and_has_none_before(seen: list[tuple[Ledger, PoolView | None]]) -> None:
    for status in follow(seen):
        assert (status["state"] in TERMINAL) == ("finishTime" in status)


@given(looks, st.booleans())
def test_a_job_has_no_start_while_it_is_suspended(
    seen: list[tuple[Ledger, PoolView | None]],
    suspend: bool,  # noqa: FBT001 - hypothesis gives arguments by position
) -> None:
    for status in follow(seen, suspend=suspend):
        conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
        assert (status["state"] == "Suspended") == (conditions.get("Suspended") == "True")
        assert status["state"] != "Suspended" or "startTime" not in status


@given(ledgers, pools)
def test_the_same_look_gives_the_same_step(ledger: Ledger, pool: PoolView | None) -> None:
    seen = view(job(), ledger, pool=pool)
    assert advance(seen, now=NOW) == advance(seen, now=NOW)


@given(ledgers, pools)
def test_a_look_at_what_was_just_reported_changes_nothing(ledger: Ledger, pool: PoolView | None) -> None:
    first = advance(view(job(), ledger, pool=pool), now=NOW).status
    assert first == advance(view(job(status=dict(first)), ledger, pool=pool), now=NOW).status


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 60)), min_size=1, max_size=10))
def test_progress_never_goes_back_while_the_ledger_grows(increments: list[tuple[int, int]]) -> None:
    reading, seen = running(total=3000, succeeded=0, failed=0, in_flight=100), []
    for succeeded, failed in increments:
        reading = replace(reading, succeeded=reading.succeeded + succeeded, failed=reading.failed + failed)
        seen.append((reading, POOL))
    percents = [status["percentComplete"] for status in follow(seen)]
    assert sorted(percents) == percents


@given(st.integers(0, 10**6))
def test_an_outage_of_redis_however_long_neither_ends_nor_restarts_a_job(seconds: int) -> None:
    before = dict(advance(view(job(activeDeadlineSeconds=60), running()), now=NOW).status)
    away = LedgerUnknown("Redis is away")
    step = advance(view(job(status=before, activeDeadlineSeconds=60), away), now=NOW + seconds)
    assert () == step.actions
    assert "Running" == step.status["state"]


def test_a_whole_life_reads_as_people_expect() -> None:
    life = [
        LedgerMissing(),
        submitted(plan_published_at=NOW, plan_publications=1),
        running(first_shard_at=None, shards_done=0, succeeded=0, in_flight=0),
        running(),
        running(shards_done=3, succeeded=539, failed=1, in_flight=0),
        finalized(succeeded=539, failed=1),
        LedgerMissing(),
    ]
    shown = [(s["state"], s["progress"], s["records"]["failed"]) for s in follow([(ledger, POOL) for ledger in life])]
    assert [
        ("Pending", "0/?", 0),
        ("Queued", "0/?", 0),
        ("Queued", "0/540", 0),
        ("Running", "200/540", 0),
        ("Finalizing", "540/540", 1),
        ("PartiallySucceeded", "540/540", 1),
        ("PartiallySucceeded", "540/540", 1),
    ] == shown
