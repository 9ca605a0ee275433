import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_jobs import NOW, running, submitted

from millrace_operator.jobs.counts import (
    RecordCounts,
    count_records,
    describe_progress,
    describe_speed,
    say_duration,
    say_rate,
)

counts = st.integers(0, 10**9)


@given(
    total=st.none() | counts, succeeded=counts, failed=counts, in_flight=st.integers(-5, 10**9), has_ended=st.booleans()
)
def test_the_parts_always_sum_to_the_total_whatever_the_ledger_says(
    total: int | None, succeeded: int, failed: int, in_flight: int, *, has_ended: bool
) -> None:
    reading = running(total=total, succeeded=succeeded, failed=failed, in_flight=in_flight)
    records = count_records(reading, inline_count=None, has_ended=has_ended).as_status()
    parts = [records[name] for name in ("succeeded", "failed", "pending", "inFlight")]
    assert min(parts) >= 0
    assert (0 if records["total"] == -1 else records["total"]) == sum(parts)


def test_the_total_of_inline_input_is_known_before_the_plan_ran() -> None:
    expected = {
        "total": 7,
        "succeeded": 0,
        "failed": 0,
        "pending": 7,
        "inFlight": 0,
        "retried": 0,
        "cached": 0,
        "ignored": 0,
    }
    assert expected == count_records(submitted(), inline_count=7, has_ended=False).as_status()


def test_an_unknown_total_is_shown_as_unknown_and_not_as_zero() -> None:
    assert {"progress": "0/?", "percentComplete": 0} == describe_progress(RecordCounts(total=-1))


def test_percent_is_rounded_down_so_that_100_means_all() -> None:
    progress = describe_progress(RecordCounts(total=540, succeeded=538, failed=1))
    assert {"progress": "539/540", "percentComplete": 99} == progress


def test_throughput_counts_from_the_first_shard_to_the_last_progress() -> None:
    reading = running(succeeded=200, first_shard_at=NOW - 20, last_progress_at=NOW - 10)
    speed = describe_speed(reading, RecordCounts(total=540, succeeded=200), pace=None, now=NOW, is_running=True)
    assert ("20/s", 20, "7s") == (speed["throughput"], speed["throughputRecordsPerSecond"], speed["eta"])


def test_a_job_that_should_have_ended_by_now_has_no_estimate() -> None:
    reading = running(succeeded=539, first_shard_at=NOW - 5000, last_progress_at=NOW - 4000)
    speed = describe_speed(reading, RecordCounts(total=540, succeeded=539), pace=None, now=NOW, is_running=True)
    assert {"throughput", "throughputRecordsPerSecond"} == set(speed)


def test_nothing_is_said_about_speed_before_the_first_shard_is_done() -> None:
    assert {} == describe_speed(running(succeeded=0), RecordCounts(total=540), pace=None, now=NOW, is_running=True)


@pytest.mark.parametrize(
    ("per_second", "text"), [(1204.4, "1,204/s"), (10, "10/s"), (3.21, "3.2/s"), (0.5, "30.0/min"), (0.001, "0.1/min")]
)
def test_rates_are_short(per_second: float, text: str) -> None:
    assert text == say_rate(per_second)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (59.6, "1m0s"), (190, "3m10s"), (7500, "2h5m"), (273_600, "3d4h"), (-3, "0s")],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert text == say_duration(seconds)
