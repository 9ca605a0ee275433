"""How records of a partition become batches."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_ingest.batching import Accumulator, Batch

MAX_BYTES = 20


def accumulator(*, max_records: int = 3, linger_seconds: float = 1.0) -> Accumulator:
    return Accumulator(
        topic="t", partition=0, max_records=max_records, linger_seconds=linger_seconds, max_bytes=MAX_BYTES
    )


def ranges(batches: list[Batch | None]) -> list[tuple[int, int]]:
    return [(batch.from_offset, batch.to_offset) for batch in batches if batch]


def test_a_batch_is_complete_at_its_number_of_records() -> None:
    open_batch = accumulator(max_records=2)
    assert open_batch.add(10, b"{}", 0.0) is None
    assert Batch(topic="t", partition=0, from_offset=10, to_offset=12, records=(b"{}", b"{}")) == open_batch.add(
        11, b"{}", 0.0
    )


def test_a_batch_is_due_after_its_first_record_lingered() -> None:
    open_batch = accumulator(linger_seconds=0.5)
    assert open_batch.due_at() is None
    open_batch.add(0, b"{}", 7.0)
    open_batch.add(1, b"{}", 7.4)
    assert 7.5 == open_batch.due_at()


def test_the_next_batch_begins_where_the_last_one_ended_even_over_a_hole() -> None:
    open_batch = accumulator(max_records=1)
    assert [(3, 4), (4, 9)] == ranges([open_batch.add(3, b"{}", 0.0), open_batch.add(8, b"{}", 0.0)])


def test_an_offset_without_a_usable_record_is_covered_and_counts_for_nothing() -> None:
    open_batch = accumulator(max_records=2)
    added = [open_batch.add(0, b"{}", 0.0), open_batch.add(1, None, 0.0), open_batch.add(2, b"{}", 0.0)]
    assert [(0, 3)] == ranges(added)


def test_a_batch_of_nothing_but_unusable_records_covers_them() -> None:
    open_batch = accumulator()
    open_batch.add(4, None, 0.0)
    assert Batch(topic="t", partition=0, from_offset=4, to_offset=5, records=()) == open_batch.take()


def test_a_record_that_would_pass_the_size_of_a_message_begins_the_next_batch() -> None:
    open_batch = accumulator()
    half = b"x" * (MAX_BYTES // 2)
    added = [open_batch.add(0, half, 0.0), open_batch.add(1, half, 0.0), open_batch.take()]
    assert [(0, 1), (1, 2)] == ranges(added)


def test_an_offset_that_is_covered_is_an_error() -> None:
    open_batch = accumulator()
    open_batch.add(4, b"{}", 0.0)
    with pytest.raises(ValueError, match="the next one is 5"):
        open_batch.add(4, b"{}", 0.0)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.none() | st.integers(0, MAX_BYTES - 1)), min_size=1, max_size=15),
    st.integers(1, 4),
)
def test_batches_cover_all_offsets_once_and_stay_in_bounds(
    arrivals: list[tuple[int, int | None]], max_records: int
) -> None:
    open_batch = accumulator(max_records=max_records)
    offset, made = 0, []
    for step, size in arrivals:
        offset += step
        made.append(open_batch.add(offset, None if size is None else bytes(size), 0.0))
    batches = [batch for batch in [*made, open_batch.take()] if batch]
    assert all(before.to_offset == after.from_offset for before, after in itertools.pairwise(batches))
    assert (arrivals[0][0], offset + 1) == (batches[0].from_offset, batches[-1].to_offset)
    assert sum(size is not None for _, size in arrivals) == sum(len(batch.records) for batch in batches)
    assert all(len(batch.records) <= max_records for batch in batches)
    assert all(sum(len(record) + 1 for record in batch.records) <= MAX_BYTES for batch in batches)
