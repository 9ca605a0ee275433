"""The loads of the live comparison: when each task is published and how long it works. The same for every scaler."""

import random
from dataclasses import dataclass
from typing import Final

QUEUE: Final = "jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Tasks as (second, seconds of work)."""

    name: str
    title: str
    tasks: tuple[tuple[float, float], ...]
    limit_seconds: float
    """A run that is not done by then is broken off and told as it is."""


def burst(*, tasks: int = 100, work_seconds: float = 5.0) -> Load:
    """Make all tasks come at once."""
    return Load(
        name="burst",
        title=f"Burst of {tasks} tasks of {work_seconds:g} s into an empty pool",
        tasks=((0.0, work_seconds),) * tasks,
        limit_seconds=400.0,
    )


def on_off(*, periods: int = 5, half_seconds: float = 60.0, per_second: float = 2.0, work_seconds: float = 5.0) -> Load:
    """Make Poisson arrivals for half of each period, and silence for the other half."""
    chance = random.Random(20_261_121)  # noqa: S311 - a load that is to be the same each time
    tasks = []
    for period in range(periods):
        at = 2 * half_seconds * period
        end = at + half_seconds
        while (at := at + chance.expovariate(per_second)) < end:
            tasks.append((round(at, 3), work_seconds))
    return Load(
        name="on-off",
        title=f"{per_second:g} tasks/s of {work_seconds:g} s for {half_seconds:g} s, then none, {periods} times",
        tasks=tuple(tasks),
        limit_seconds=2 * half_seconds * periods + 300.0,
    )


LOADS: Final = {load.name: load for load in (burst(), on_off())}
