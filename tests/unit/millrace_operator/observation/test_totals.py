"""Arrivals and completions where the broker counts none."""

from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.model.reading import QueueReading
from millrace_operator.model.worker import Worker
from millrace_operator.observation.totals import Totals

KEY = ("ml", "digits")


def worker(node: str = "a", *, active: int, processed: int, at: float = 0.0) -> Worker:
    return Worker(node=node, active=active, processed=processed, heard_at=at, first_heard_at=0.0)


def totals(counted: QueueReading) -> tuple[int | None, int | None]:
    return counted.arrivals_total, counted.completions_total


def reading(ready: int, unacked: int = 0, at: float = 0.0) -> QueueReading:
    return QueueReading(read_at=at, ready=ready, unacked=unacked)


def test_what_was_started_and_does_not_run_is_done() -> None:
    count = Totals()
    count.by_workers(KEY, reading(5), [])
    count.by_workers(KEY, reading(5), [worker(active=0, processed=100)])

    assert (0, 0) == totals(count.by_workers(KEY, reading(3, 2), [worker(active=2, processed=102)]))
    assert (0, 2) == totals(count.by_workers(KEY, reading(3), [worker(active=0, processed=102)]))
    assert (4, 2) == totals(count.by_workers(KEY, reading(7), [worker(active=0, processed=102)]))


def test_what_ran_before_the_operator_began_is_done_once_it_ends() -> None:
    count = Totals()
    count.by_workers(KEY, reading(0, 3), [worker(active=3, processed=50)])

    assert (0, 3) == totals(count.by_workers(KEY, reading(0), [worker(active=0, processed=50)]))


def test_a_worker_that_began_anew_counts_from_zero() -> None:
    count = Totals()
    count.by_workers(KEY, reading(0), [worker(active=0, processed=50)])

    assert (7, 7) == totals(count.by_workers(KEY, reading(0), [worker(active=0, processed=7)]))


def test_a_sum_that_falls_because_a_pod_went_away_counts_nothing() -> None:
    count = Totals()
    count.by_counter(KEY, reading(0), 900)

    assert (0, 0) == totals(count.by_counter(KEY, reading(0), 500))
    assert (3, 3) == totals(count.by_counter(KEY, reading(0), 503))


steps = st.lists(st.tuples(*(st.integers(min_value=0, max_value=50),) * 4), max_size=20)


@given(steps)
def test_totals_never_fall(past: list[tuple[int, int, int, int]]) -> None:
    count, arrivals, completions = Totals(), 0, 0
    for at, (ready, unacked, active, processed) in enumerate(past):
        heard = [worker(active=active, processed=processed, at=at)]
        now_arrived, now_done = totals(count.by_workers(KEY, reading(ready, unacked, at), heard))
        assert (now_arrived or 0) >= arrivals
        assert (now_done or 0) >= completions
        arrivals, completions = now_arrived or 0, now_done or 0
