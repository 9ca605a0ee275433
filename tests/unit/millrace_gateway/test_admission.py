"""Work that would wait longer than its pool promises is refused; what is not known refuses nobody."""

import pytest

from millrace_contracts.pool_waits import PoolWait
from millrace_gateway.admission import refuse_if_late
from millrace_gateway.errors import TooManyRequests


def wait(seconds: float | None, *, read_at: float = 100.0) -> PoolWait:
    return PoolWait(pool="p", wait_seconds=seconds, objective_seconds=30.0, read_at=read_at)


@pytest.mark.parametrize(
    "known",
    [None, wait(None), wait(0.0), wait(30.0), wait(900.0, read_at=80.0)],
    ids=["none", "unknown", "0", "30", "old"],
)
def test_it_is_admitted(known: PoolWait | None) -> None:
    refuse_if_late(known, now=100.0)


@pytest.mark.parametrize(("seconds", "retry_after"), [(30.2, 1), (45.5, 16), (90_000.0, 600)])
def test_it_is_refused_until_the_wait_will_be_within_the_objective(seconds: float, retry_after: int) -> None:
    with pytest.raises(TooManyRequests) as refused:
        refuse_if_late(wait(seconds), now=101.0)
    assert retry_after == refused.value.retry_after_seconds
