"""Records of many callers become tasks: none is lost, none is sent twice, and what waits is bounded."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_gateway import gather
from millrace_gateway.errors import Unavailable
from millrace_gateway.gather import Answered, Gatherer

Call = tuple[str, int, int]
"""Group, how many entries, and after how many turns of the loop."""
calls = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 9), st.integers(0, 3)), max_size=30)


class Queue:
    """Takes tasks, after some turns of the loop, and refuses every nth."""

    def __init__(self, *, turns: int = 0, refuses_every: int = 0) -> None:
        self.tasks: list[tuple[str, tuple[str, ...]]] = []
        self.refused: list[str] = []
        self.answers = True
        self._turns = turns
        self._refuses_every = refuses_every
        self._count = 0

    async def publish(self, group: str, entries: Sequence[str]) -> Answered:
        """Take one task."""
        self._count += 1
        number = self._count
        for _ in range(self._turns):
            await asyncio.sleep(0)
        if self._refuses_every and number % self._refuses_every == 0:
            self.refused += entries
            raise Unavailable("refused")
        self.tasks.append((group, tuple(entries)))
        return self._answer()

    def _answer(self) -> Answered:
        answered: Answered = asyncio.get_running_loop().create_future()
        if self.answers:
            answered.set_result(None)
        return answered


async def submit_all(gatherer: Gatherer[str, str], made: Sequence[Call], *, max_records: int) -> list[str]:
    """Play the calls; answers the entries of the calls that were told that all went well."""

    async def call(number: int, group: str, count: int, turns: int) -> list[str]:
        for _ in range(turns):
            await asyncio.sleep(0)
        entries = [f"{group}{number}-{i}" for i in range(count)]
        try:
            await gatherer.submit(group, [(entry, 1) for entry in entries], max_records=max_records)
        except Unavailable:
            return []
        return entries

    told = await asyncio.gather(*(call(number, *each) for number, each in enumerate(made)))
    return [entry for entries in told for entry in entries]


@given(made=calls, max_records=st.integers(1, 8), turns=st.integers(0, 4), refuses_every=st.integers(0, 4))
def test_every_entry_goes_out_once_or_its_caller_hears_that_it_did_not(
    made: list[Call], max_records: int, turns: int, refuses_every: int
) -> None:
    queue = Queue(turns=turns, refuses_every=refuses_every)
    gatherer = Gatherer(queue.publish, max_wait_seconds=0.0, max_held=10_000)
    told = asyncio.run(submit_all(gatherer, made, max_records=max_records))
    sent = Counter(entry for _, entries in queue.tasks for entry in entries)
    assert set(told) <= set(sent)
    assert sum(count for _, count, _ in made) == len(sent) + len(queue.refused)
    assert set(sent.values()) <= {1}
    assert 0 == gatherer.held


@given(made=calls, max_records=st.integers(1, 8), turns=st.integers(0, 4))
def test_a_task_holds_one_group_and_no_more_than_it_may(made: list[Call], max_records: int, turns: int) -> None:
    queue = Queue(turns=turns)
    gatherer = Gatherer(queue.publish, max_wait_seconds=0.0, max_held=10_000)
    asyncio.run(submit_all(gatherer, made, max_records=max_records))
    for group, entries in queue.tasks:
        assert {group} == {entry[0] for entry in entries}
        assert len(entries) <= max_records


def test_a_lone_record_does_not_wait() -> None:
    queue = Queue()
    gatherer = Gatherer(queue.publish, max_wait_seconds=3600.0, max_held=10)
    asyncio.run(submit_all(gatherer, [("a", 1, 0)], max_records=8))
    assert [("a", ("a0-0",))] == queue.tasks


def test_what_comes_while_a_task_is_under_way_goes_together_when_it_is_answered() -> None:
    queue = Queue(turns=10)
    gatherer = Gatherer(queue.publish, max_wait_seconds=3600.0, max_held=10)
    asyncio.run(submit_all(gatherer, [("a", 1, 0), ("a", 1, 3), ("a", 1, 5)], max_records=8))
    assert [1, 2] == [len(entries) for _, entries in queue.tasks]


def test_a_full_task_does_not_wait_for_the_one_before() -> None:
    gate = asyncio.Event()
    sizes: list[int] = []

    async def publish(_: str, entries: Sequence[str]) -> Answered:
        sizes.append(len(entries))
        if len(sizes) == 2:
            gate.set()
        await gate.wait()
        answered: Answered = asyncio.get_running_loop().create_future()
        answered.set_result(None)
        return answered

    gatherer = Gatherer(publish, max_wait_seconds=3600.0, max_held=10)
    asyncio.run(submit_all(gatherer, [("a", 1, 0), ("a", 4, 3)], max_records=4))
    assert [1, 4] == sizes


def test_a_task_without_an_answer_makes_others_wait_no_longer_than_the_longest_wait() -> None:
    queue = Queue()
    queue.answers = False
    gatherer = Gatherer(queue.publish, max_wait_seconds=0.01, max_held=10)
    asyncio.run(submit_all(gatherer, [("a", 1, 0), ("a", 1, 6), ("a", 1, 7)], max_records=8))
    assert [1, 2] == [len(entries) for _, entries in queue.tasks]


def test_large_records_make_a_task_full_by_their_bytes() -> None:
    queue = Queue()
    gatherer = Gatherer(queue.publish, max_wait_seconds=0.0, max_held=10)
    large = gather.MAX_TASK_BYTES // 2 + 1

    async def submit() -> None:
        await gatherer.submit("a", [("one", large), ("two", large), ("three", 1)], max_records=8)

    asyncio.run(submit())
    assert [("one",), ("two", "three")] == [entries for _, entries in queue.tasks]


def test_what_is_too_much_to_hold_is_refused_at_once() -> None:
    queue = Queue(turns=5)
    gatherer = Gatherer(queue.publish, max_wait_seconds=0.0, max_held=4)

    async def submit_too_much() -> None:
        first = asyncio.create_task(gatherer.submit("a", [("x", 1)] * 3, max_records=8))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="3 records already wait"):
            await gatherer.submit("a", [("y", 1)] * 2, max_records=8)
        await first

    asyncio.run(submit_too_much())
    assert [("a", ("x", "x", "x"))] == queue.tasks


def test_closing_sends_what_waits() -> None:
    queue = Queue()
    gatherer = Gatherer(queue.publish, max_wait_seconds=3600.0, max_held=10)

    async def submit_and_close() -> None:
        waiting = asyncio.create_task(submit_all(gatherer, [("a", 2, 0)], max_records=8))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await gatherer.close()
        await waiting

    asyncio.run(submit_and_close())
    assert [("a", ("a0-0", "a0-1"))] == queue.tasks
