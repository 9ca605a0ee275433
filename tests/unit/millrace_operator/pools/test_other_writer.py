"""Somebody else who changes replicas is noticed, and our own writes are never mistaken for one."""

from millrace_operator.model.decision import ScaleOutcome
from millrace_operator.model.pool_state import PoolState
from millrace_operator.pools.memory import PoolMemory, other_writer


def seen(memory: PoolMemory, *, asked: int, wrote: int | None = None) -> str:
    outcome = ScaleOutcome(previous=asked, current=asked if wrote is None else wrote)
    return other_writer(memory, PoolState(asked=asked), outcome)


def test_our_own_write_is_not_somebody_else() -> None:
    memory = PoolMemory(pool=("ml", "digits"))

    assert ["", "", "", ""] == [
        seen(memory, asked=0, wrote=3),
        seen(memory, asked=0),
        seen(memory, asked=3),
        seen(memory, asked=3),
    ]


def test_a_change_of_what_we_wrote_is_somebody_else() -> None:
    memory = PoolMemory(pool=("ml", "digits"))
    seen(memory, asked=0, wrote=3)
    seen(memory, asked=3)

    assert seen(memory, asked=5, wrote=3).startswith("Replicas were changed from 3 to 5 by somebody else.")


def test_what_stood_there_before_our_first_write_is_nobody_else() -> None:
    memory = PoolMemory(pool=("ml", "digits"))

    assert ["", ""] == [seen(memory, asked=2), seen(memory, asked=4)]
