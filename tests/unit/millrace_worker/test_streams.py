"""Ranges of offsets that are done: whatever order batches come in, they cover the union, and neighbours merge."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.streams import StreamBatch, StreamRecord
from millrace_worker.streams import Ranges, add_range, is_covered, remaining

ranges = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def batch(start: int, end: int) -> StreamBatch:
    records = [StreamRecord(offset=offset, value={}) for offset in range(start, end)]
    return StreamBatch(stream="s", topic="t", partition=0, from_offset=start, to_offset=end, records=records)


def offsets(done: Ranges) -> set[int]:
    return {offset for start, end in done for offset in range(start, end)}


def all_added(batches: list[tuple[int, int]]) -> Ranges:
    done: Ranges = []
    for start, end in batches:
        done = add_range(done, start, end)
    return done


@given(st.lists(ranges, max_size=30))
def test_what_is_done_is_the_union_of_all_batches(batches: list[tuple[int, int]]) -> None:
    assert offsets(all_added(batches)) == offsets(batches)


@given(st.lists(ranges, max_size=30))
def test_ranges_are_disjoint_sorted_and_never_touch(batches: list[tuple[int, int]]) -> None:
    done = all_added(batches)
    assert all(left[1] < right[0] for left, right in pairwise(done))


@given(st.lists(ranges, max_size=20), st.randoms(use_true_random=False))
def test_order_and_replays_change_nothing(batches: list[tuple[int, int]], random: Random) -> None:
    shuffled = [*batches, *batches]
    random.shuffle(shuffled)
    assert all_added(shuffled) == all_added(batches)


@given(st.lists(ranges, max_size=20), ranges)
def test_what_is_left_of_a_batch_is_what_no_range_covers(batches: list[tuple[int, int]], new: tuple[int, int]) -> None:
    done = all_added(batches)
    left = {record.offset for record in remaining(batch(*new), done).records}
    assert left == set(range(*new)) - offsets(done)
    assert is_covered(done, *new) == (not left)
