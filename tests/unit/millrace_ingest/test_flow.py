"""When the bridge stops reading, and when it goes on."""

from hypothesis import given
from hypothesis import strategies as st

from millrace_ingest.flow import Flow


def decisions(*readings: int | None, low: int = 5) -> list[bool]:
    flow = Flow(high_water_messages=10, low_water_messages=low)
    return [flow.observe(reading) for reading in readings]


def test_reading_stops_at_the_high_water_mark_and_goes_on_below_the_low_one() -> None:
    assert [False, True, True, True, False] == decisions(9, 10, 7, 5, 4)


def test_an_unknown_queue_changes_nothing() -> None:
    assert [False, False, True, True] == decisions(0, None, 10, None)


def test_with_a_low_water_mark_of_zero_reading_goes_on_when_the_queue_is_empty() -> None:
    assert [True, True, False] == decisions(10, 1, 0, low=0)


@given(st.lists(st.none() | st.integers(0, 20)))
def test_above_the_high_mark_it_never_reads_and_below_the_low_one_always(readings: list[int | None]) -> None:
    for reading, is_stopped in zip(readings, decisions(*readings), strict=True):
        if reading is not None and reading >= 10:
            assert is_stopped
        if reading is not None and reading < 5:
            assert not is_stopped
