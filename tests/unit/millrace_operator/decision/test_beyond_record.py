"""How much larger than all before the next burst, or the next gap, may be."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.decision.beyond_record import factor_beyond_record

shares = st.floats(min_value=0.001, max_value=0.5)


@pytest.mark.parametrize(("seen", "factor"), [(1, 19.0), (2, 4.84), (4, 2.31), (19, 1.0)])
def test_few_that_were_seen_say_little_of_the_next(seen: int, factor: float) -> None:
    """Where 5 % may exceed it: 1 / (1 + c) = 0.05 after one, 1 / 20 after nineteen."""
    assert factor == pytest.approx(factor_beyond_record(seen, exceeded_share=0.05), rel=0.01)


@settings(max_examples=50)
@given(st.integers(1, 60), shares)
def test_one_more_that_was_seen_never_asks_for_more(seen: int, share: float) -> None:
    assert factor_beyond_record(seen + 1, exceeded_share=share) <= factor_beyond_record(seen, exceeded_share=share)


@settings(max_examples=50)
@given(st.integers(1, 60), shares)
def test_it_is_never_below_the_largest_that_was_seen(seen: int, share: float) -> None:
    assert factor_beyond_record(seen, exceeded_share=share) >= 1.0


@pytest.mark.parametrize("seen", [2, 6, 12])
def test_exponential_values_exceed_it_as_often_as_is_said(seen: int) -> None:
    chance, times = random.Random(seen), 20_000
    factor = factor_beyond_record(seen, exceeded_share=0.05)

    def exceeds() -> bool:
        largest = max(chance.expovariate(1.0) for _ in range(seen))
        return chance.expovariate(1.0) > factor * largest

    assert 0.05 == pytest.approx(sum(exceeds() for _ in range(times)) / times, abs=0.01)
