"""Arrivals and completions of a queue, however messages come and go."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from simulated_queue import SimulatedQueue

from millrace_operator.observation.counters import Counters
from millrace_operator.observation.queue_tally import QueueTally, carry_on

Step = Callable[[SimulatedQueue], None]
COUNTS = st.integers(1, 9)


def steps_of(*names: str) -> st.SearchStrategy[list[Step]]:
    """Any sequence of these happenings."""

    def step(name: str, count: int) -> Step:
        return lambda queue: getattr(queue, name)(count)

    return st.lists(st.builds(step, st.sampled_from(names), COUNTS), max_size=40)


def read(tally: QueueTally, queue: SimulatedQueue, *, now: float) -> QueueTally:
    queue.pass_time(now)
    return carry_on(tally, by_node={"one": queue.counters}, gauge=queue.gauge, ready=queue.ready, now=now)


def tallied(*answers: tuple[Counters, int | None]) -> QueueTally:
    """Read these counters and these waiting messages, a second apart."""
    tally = QueueTally()
    for now, (counters, ready) in enumerate(answers):
        tally = carry_on(tally, by_node={"one": counters}, gauge=0, ready=ready, now=now)
    return tally


def test_the_past_is_not_counted() -> None:
    tally = tallied((Counters(delivered=500, acked=400), 70))

    assert (0, 0) == (tally.arrivals, tally.completions)


def test_what_waits_and_what_was_taken_has_arrived() -> None:
    tally = tallied((Counters(), 0), (Counters(delivered=3, acked=1), 7))

    assert (10, 1) == (tally.arrivals, tally.completions)


def test_a_message_that_is_counted_twice_for_a_moment_is_counted_once_in_the_end() -> None:
    """It was delivered between the two answers, so it is in both."""
    tally = tallied((Counters(), 0), (Counters(delivered=4), 1), (Counters(delivered=4), 0), (Counters(delivered=4), 1))

    assert 5 == tally.arrivals


def test_purged_messages_have_arrived_and_those_that_come_after_them_count() -> None:
    tally = tallied((Counters(), 0), (Counters(), 100), (Counters(), 0), (Counters(), 3))

    assert 103 == tally.arrivals


def test_while_what_waits_is_not_known_completions_go_on() -> None:
    tally = tallied((Counters(), 5), (Counters(delivered=2, acked=2), None))

    assert (0, 2) == (tally.arrivals, tally.completions)


def test_what_arrived_while_it_was_not_known_is_counted_afterwards() -> None:
    tally = tallied((Counters(), 5), (Counters(delivered=2), None), (Counters(delivered=2), 4))

    assert 1 == tally.arrivals


@given(steps=steps_of("publish", "deliver", "ack", "reject", "give_back", "purge_some"), phase=st.floats(0.01, 5))
def test_arrivals_and_completions_never_fall(steps: list[Step], phase: float) -> None:
    queue, tally = SimulatedQueue(refresh_at=phase), QueueTally()
    for now, step in enumerate(steps):
        step(queue)
        before, tally = tally, read(tally, queue, now=now)

        assert before.arrivals <= tally.arrivals
        assert before.completions <= tally.completions


@given(steps=steps_of("publish", "deliver", "ack", "reject"), phase=st.floats(0.01, 5))
def test_they_are_exact_while_nothing_is_returned_or_purged(steps: list[Step], phase: float) -> None:
    queue = SimulatedQueue(refresh_at=phase)
    tally = read(QueueTally(), queue, now=0)
    for now, step in enumerate(steps, start=1):
        step(queue)
        tally = read(tally, queue, now=now)

    assert (queue.arrived, queue.counters.acked) == (tally.arrivals, tally.completions)


@given(steps=steps_of("publish", "deliver", "ack", "give_back"), phase=st.floats(0.01, 5))
def test_what_was_returned_counts_once_as_soon_as_it_is_delivered_again(steps: list[Step], phase: float) -> None:
    queue = SimulatedQueue(refresh_at=phase)
    tally = read(QueueTally(), queue, now=0)
    most_returned = 0
    for now, step in enumerate(steps, start=1):
        step(queue)
        tally = read(tally, queue, now=now)
        most_returned = max(most_returned, queue.returned)

        assert queue.arrived <= tally.arrivals <= queue.arrived + most_returned
