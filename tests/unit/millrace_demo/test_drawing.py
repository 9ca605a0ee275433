from hypothesis import given
from hypothesis import strategies as st

from millrace_demo.drawing import WIDTH, beside, draw_scan


@given(st.lists(st.integers(0, 16), min_size=64, max_size=64))
def test_a_drawing_is_eight_lines_of_equal_width(pixels: list[int]) -> None:
    assert [WIDTH] * 8 == [len(line) for line in draw_scan(pixels)]


@given(st.integers(1, 16))
def test_any_ink_is_visible(pixel: int) -> None:
    assert " " not in draw_scan([pixel] * 64)[0]


def test_paper_is_blank_and_full_ink_is_full() -> None:
    assert ["  " * 4 + "██" * 4] == draw_scan([0, 0, 0, 0, 16, 16, 16, 16])


def test_drawings_stand_side_by_side() -> None:
    assert ["a b", "c d"] == beside([["a", "c"], ["b", "d"]], gap=" ")
