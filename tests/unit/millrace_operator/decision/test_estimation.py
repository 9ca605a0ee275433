"""Rates from counters, against queues whose truth is known."""

import pytest

from millrace_operator.decision.estimation import History, acked_between, estimate, extend
from millrace_operator.model.estimates import Estimates
from millrace_operator.model.reading import Blindness, QueueReading, Unknown

BLIND = Unknown(reason=Blindness.BROKER_UNREACHABLE, message="away")


def reading(*, ready: int = 0, unacked: int = 0, acked: int = 0) -> QueueReading:
    return QueueReading(ready=ready, unacked=unacked, consumers=1, acked_by_node={"node": acked})


def test_nothing_is_claimed_before_it_is_measured() -> None:
    history = extend(History(), reading(ready=100), now=0)

    assert estimate(history) == Estimates(arrivals_per_second=None, service_seconds=None)


def test_a_steady_queue_shows_its_rates() -> None:
    """2 tasks arrive and end each second and 10 run: each takes 5 s."""
    history = History()
    for second in range(61):
        history = extend(history, reading(ready=3, unacked=10, acked=2 * second), now=second)

    assert estimate(history) == Estimates(arrivals_per_second=pytest.approx(2.0), service_seconds=pytest.approx(5.0))


def test_a_burst_that_ends_between_two_refreshes_of_the_gauge_tells_no_service_time() -> None:
    """54 tasks are done within 2 s; the gauge, 5 s old, never shows one of them. That is no service time of 0."""
    history = extend(History(), reading(ready=54), now=0)
    for second in range(1, 61):
        history = extend(history, reading(acked=min(54, 27 * second)), now=second)

    assert estimate(history).service_seconds is None


def test_arrivals_that_nobody_works_on_count() -> None:
    history = History()
    for second in range(21):
        history = extend(history, reading(ready=4 * second), now=second)

    assert estimate(history) == Estimates(arrivals_per_second=pytest.approx(4.0), service_seconds=None)


def test_arrivals_are_those_of_the_last_minute() -> None:
    history = History()
    for second in range(200):
        history = extend(history, reading(ready=min(second, 100)), now=second)

    assert estimate(history).arrivals_per_second == 0.0


def test_a_purge_is_no_negative_arrival() -> None:
    history = History()
    for second in range(21):
        history = extend(history, reading(ready=100 - 5 * second), now=second)

    assert estimate(history).arrivals_per_second == 0.0


def test_a_restarted_node_begins_counting_anew() -> None:
    assert acked_between({"a": 500, "b": 10}, {"a": 3, "b": 12}) == 5


def test_a_node_that_was_not_read_before_counts_nothing() -> None:
    assert acked_between({"a": 5}, {"a": 6, "b": 1000}) == 1


def test_a_short_outage_is_bridged_and_a_long_one_begins_anew() -> None:
    history = extend(extend(History(), reading(acked=0), now=0), BLIND, now=5)
    bridged = extend(history, reading(acked=30), now=10)
    anew = extend(history, reading(acked=30), now=100)

    assert estimate(bridged).arrivals_per_second == 3.0
    assert estimate(anew).arrivals_per_second is None
