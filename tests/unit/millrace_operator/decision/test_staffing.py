"""Erlang C against its own definition, and against a table of slots computed apart from the code."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.decision.staffing import erlang_c, miss_probability, slots_for_load

MOST = 100_000
loads = st.floats(min_value=0.01, max_value=60)


def erlang_c_by_definition(slots: int, load: float) -> float:
    terms = [load**number / math.factorial(number) for number in range(slots)]
    full = load**slots / math.factorial(slots) * slots / (slots - load)
    return full / (math.fsum(terms) + full)


@pytest.mark.parametrize(
    ("load", "slots"), [(1, 3), (2, 4), (5, 7), (10, 12), (20, 22), (50, 52), (100, 102)], ids=lambda value: f"{value}"
)
def test_five_percent_waiting_one_and_a_half_tasks_needs_the_slots_of_the_table(load: float, slots: int) -> None:
    assert slots == slots_for_load(offered_load=load, patience=1.5, tolerated=0.05, most=MOST)


@pytest.mark.parametrize(
    ("load", "slots"), [(1, 3), (2, 4), (5, 8), (10, 14), (20, 26), (50, 58), (100, 111)], ids=lambda value: f"{value}"
)
def test_a_fifth_waiting_at_all_needs_the_slots_of_the_table(load: float, slots: int) -> None:
    assert slots == slots_for_load(offered_load=load, patience=1e-9, tolerated=0.2, most=MOST)


@settings(max_examples=40)
@given(st.integers(min_value=1, max_value=80), loads)
def test_the_recursion_gives_what_the_definition_gives(slots: int, load: float) -> None:
    if slots > load:
        assert erlang_c(slots, load) == pytest.approx(erlang_c_by_definition(slots, load), rel=1e-6, abs=1e-12)


def test_one_slot_waits_as_often_as_it_is_busy() -> None:
    assert pytest.approx(0.7) == erlang_c(1, 0.7)


def test_too_few_slots_make_every_task_wait_and_no_load_makes_none_wait() -> None:
    assert 1.0 == erlang_c(5, 5.0)
    assert 0.0 == erlang_c(5, 0.0)


@settings(max_examples=40)
@given(loads, st.floats(min_value=0.01, max_value=20), st.floats(min_value=0.001, max_value=0.5))
def test_the_slots_keep_what_is_tolerated(load: float, patience: float, tolerated: float) -> None:
    slots = slots_for_load(offered_load=load, patience=patience, tolerated=tolerated, most=MOST)

    assert slots > load
    missed = miss_probability(slots=slots, offered_load=load, service_seconds=1.0, wait_seconds=patience)
    assert missed <= tolerated * (1 + 1e-9)


@settings(max_examples=40)
@given(loads, st.floats(min_value=0.01, max_value=20), st.floats(min_value=0.001, max_value=0.5))
def test_the_slots_are_not_many_more_than_they_must_be(load: float, patience: float, tolerated: float) -> None:
    """Loads are rounded up to three digits before they are looked up, which is a hundredth at most."""
    slots = slots_for_load(offered_load=load * 0.99, patience=patience * 1.01, tolerated=tolerated, most=MOST)

    if slots - 1 > load:
        missed = miss_probability(slots=slots - 1, offered_load=load, service_seconds=1.0, wait_seconds=patience)
        assert missed > tolerated * 0.99


@settings(max_examples=40)
@given(loads, loads, st.floats(min_value=0.01, max_value=20))
def test_more_load_never_needs_fewer_slots(one: float, other: float, patience: float) -> None:
    low, high = sorted((one, other))

    assert slots_for_load(offered_load=low, patience=patience, tolerated=0.05, most=MOST) <= slots_for_load(
        offered_load=high, patience=patience, tolerated=0.05, most=MOST
    )


@settings(max_examples=40)
@given(loads, st.integers(min_value=1, max_value=100), st.floats(min_value=0, max_value=100))
def test_one_slot_more_never_misses_more(load: float, slots: int, wait: float) -> None:
    few = miss_probability(slots=slots, offered_load=load, service_seconds=5.0, wait_seconds=wait)
    many = miss_probability(slots=slots + 1, offered_load=load, service_seconds=5.0, wait_seconds=wait)

    assert 0.0 <= many <= few <= 1.0


def test_slots_that_no_pool_may_have_are_not_counted() -> None:
    assert 50 <= slots_for_load(offered_load=1e6, patience=1.0, tolerated=0.05, most=50) <= 1e6


def test_no_load_needs_no_slot() -> None:
    assert 0 == slots_for_load(offered_load=0.0, patience=1.0, tolerated=0.05, most=MOST)


def test_times_that_vary_less_miss_less() -> None:
    missed = [
        miss_probability(slots=6, offered_load=5.0, service_seconds=10.0, wait_seconds=30.0, variation=variation)
        for variation in (0.0, 0.5, 1.0, 2.0)
    ]

    assert missed == sorted(missed)
