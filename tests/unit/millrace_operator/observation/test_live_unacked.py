"""The number of messages that workers hold is live, and what drifts comes back."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from simulated_queue import SimulatedQueue

from millrace_operator.observation.live_unacked import GAUGE_AGE_SECONDS, LiveUnacked, follow

Step = tuple[int, int, int]
"""Messages that are published, delivered and acked between two reads."""

SMALL = st.integers(0, 8)
STEPS = st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=30)
PHASES = st.floats(0.01, 5.0)


def followed(*path: tuple[float, int, int | None]) -> int:
    """Read at these moments these counts and gauges."""
    live = LiveUnacked()
    for now, held, gauge in path:
        live = follow(live, held=held, gauge=gauge, now=now)
    return live.value


def watch(queue: SimulatedQueue, live: LiveUnacked, steps: Iterable[Step], *, start: float) -> LiveUnacked:
    """Read the queue once a second while messages come and go."""
    for now, (published, delivered, acked) in enumerate(steps):
        queue.publish(published)
        queue.deliver(delivered)
        queue.ack(acked)
        live = follow(live, held=queue.counters.held, gauge=queue.gauge, now=start + now)
        queue.pass_time(start + now + 0.999)
    return live


def test_the_first_read_is_what_the_gauge_says() -> None:
    assert 4 == followed((0, 0, 4))


def test_without_a_gauge_it_begins_at_nothing() -> None:
    assert 0 == followed((0, -3, None))


def test_deliveries_and_acks_are_seen_at_once() -> None:
    assert 6 == followed((0, 0, 4), (1, 2, 4))
    assert 3 == followed((0, 0, 4), (1, -1, 4))


def test_a_gauge_that_tells_the_past_corrects_nothing() -> None:
    assert 0 == followed(*((t, 5, 5) for t in range(10)), (10, 0, 5), (15, 0, 5))


def test_a_gauge_that_fits_no_moment_of_the_last_6_seconds_does() -> None:
    assert 0 == followed((0, 0, 0), *((t, 5, 0) for t in range(1, 9)))


def test_a_gauge_that_changed_tells_of_a_moment_since_the_last_read() -> None:
    """The number moved between 0 and 5 before, so an old gauge could mean any of these."""
    moves = tuple((t, 5 * (t % 2), 3) for t in range(10))

    assert 4 == followed(*moves, (10, 2, 4), (11, 2, 4))


def test_just_begun_it_may_be_too_many_but_never_too_few() -> None:
    assert 5 == followed((0, 2, 5), (1, 2, 5)), "the gauge may be of a moment before the first read"
    assert 6 == followed((0, 3, 5), (1, 4, 5))
    assert 7 == followed((0, 0, 5), (1, 0, 7))


def test_a_pause_longer_than_a_gauge_is_old_is_a_new_beginning() -> None:
    assert 5 == followed((0, 0, 5), (100, 0, 2))


def test_it_is_never_below_zero() -> None:
    assert 0 == followed((0, 0, 1), (1, -4, 1))


@given(steps=STEPS, phase=PHASES)
def test_as_long_as_nothing_drifts_it_is_exact(steps: list[Step], phase: float) -> None:
    queue = SimulatedQueue(refresh_at=phase)
    live = watch(queue, LiveUnacked(), [(0, 0, 0)], start=0)
    for now, step in enumerate(steps, start=1):
        live = watch(queue, live, [step], start=now)

        assert queue.unacked == live.value


@given(steps=STEPS, phase=PHASES, rejected=SMALL, returned=SMALL, again=SMALL)
def test_any_drift_is_gone_6_seconds_after_it(
    steps: list[Step], phase: float, rejected: int, returned: int, again: int
) -> None:
    queue = SimulatedQueue(refresh_at=phase)
    live = watch(queue, LiveUnacked(), steps, start=0)
    queue.reject(rejected)
    queue.give_back(returned)
    queue.deliver(again)

    live = watch(queue, live, [(0, 0, 0)] * 8, start=len(steps))

    assert queue.unacked == live.value


@given(
    steps=STEPS, phase=PHASES, rejected=SMALL, more=st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=8, max_size=20)
)
def test_while_work_goes_on_drift_stays_within_what_the_number_moved_lately(
    steps: list[Step], phase: float, rejected: int, more: list[Step]
) -> None:
    queue = SimulatedQueue(refresh_at=phase)
    live = watch(queue, LiveUnacked(), steps, start=0)
    queue.reject(rejected)

    live = watch(queue, live, more, start=len(steps))

    counted = [held for _, held in live.path]
    assert abs(queue.unacked - live.value) <= max(counted) - min(counted)


@given(steps=STEPS, phase=PHASES)
def test_its_memory_is_bounded(steps: list[Step], phase: float) -> None:
    live = watch(SimulatedQueue(refresh_at=phase), LiveUnacked(), steps, start=0)

    assert len(live.path) <= GAUGE_AGE_SECONDS + 2
