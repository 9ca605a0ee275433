from collections import Counter

import pytest

from millrace_demo.scans import Scans, load_scans


@pytest.fixture(scope="module")
def both() -> tuple[Scans, Scans]:
    return load_scans()


def test_540_scans_are_held_out_of_1797(both: tuple[Scans, Scans]) -> None:
    training, held_out = both
    assert (1257, 540) == (len(training.keys), len(held_out.keys))


def test_no_scan_is_both_learned_from_and_held_out(both: tuple[Scans, Scans]) -> None:
    training, held_out = both
    assert set() == set(training.keys) & set(held_out.keys)


def test_each_digit_is_held_out_in_its_share(both: tuple[Scans, Scans]) -> None:
    training, held_out = both
    of_training, of_held_out = Counter(training.labels.tolist()), Counter(held_out.labels.tolist())
    shares = [of_held_out[digit] / (of_held_out[digit] + of_training[digit]) for digit in range(10)]
    assert [pytest.approx(0.3, abs=0.01)] * 10 == shares


def test_the_cut_is_the_same_each_time(both: tuple[Scans, Scans]) -> None:
    assert both[1].keys == load_scans()[1].keys
