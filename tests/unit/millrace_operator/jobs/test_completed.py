from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.jobs.completed import COMPLETED_LIMIT, list_completed


def bitmap(indexes: set[int]) -> bytes:
    """Set bits as Redis does: bit 0 is the highest of the first byte."""
    bits = bytearray(max(indexes, default=-1) // 8 + 1)
    for index in indexes:
        bits[index // 8] |= 0x80 >> index % 8
    return bytes(bits)


def read(text: str) -> set[int]:
    ranges = [part.partition("-") for part in text.split(",") if part]
    return {i for first, _, last in ranges for i in range(int(first), int(last or first) + 1)}


def test_runs_are_written_as_ranges() -> None:
    assert "0,3-5" == list_completed(bitmap({0, 3, 4, 5}))


@given(st.sets(st.integers(0, 300)))
def test_every_task_that_is_done_is_listed_and_no_other(indexes: set[int]) -> None:
    assert indexes == read(list_completed(bitmap(indexes)))


def test_a_list_that_is_too_long_is_cut_after_a_whole_range_and_says_so() -> None:
    text = list_completed(bitmap(set(range(0, 32_768, 2))))
    assert text.endswith(",…")
    assert len(text) <= COMPLETED_LIMIT
    assert set(range(0, 2 * text.count(","), 2)) == read(text.removesuffix(",…"))
