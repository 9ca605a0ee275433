"""A pass waits for others only as long as the next one is not delayed by it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.pools.pace import LEAST_SECONDS, Pace

seconds = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("now", "patience"),
    [
        pytest.param(100.0, 0.5, id="at its beginning as long as ever"),
        pytest.param(100.4, 0.3, id="later what is left of its share of the second"),
        pytest.param(100.9, LEAST_SECONDS, id="when it is late hardly at all"),
    ],
)
def test_the_later_it_is_the_shorter_a_pass_waits(now: float, patience: float) -> None:
    assert patience == pytest.approx(Pace(began=100.0, pass_seconds=1.0).patience(most=0.5, now=now))


@given(began=seconds, late=seconds, pass_seconds=st.floats(0.1, 60))
def test_no_wait_is_longer_than_the_limit_or_shorter_than_what_lets_work_begin(
    began: float, late: float, pass_seconds: float
) -> None:
    patience = Pace(began=began, pass_seconds=pass_seconds).patience(most=0.5, now=began + late)

    assert LEAST_SECONDS <= patience <= 0.5
