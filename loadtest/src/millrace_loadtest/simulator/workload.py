"""When tasks arrive and how long each takes: drawn by chance from a description, the same for the same seed."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

from millrace_loadtest.errors import InputError
from millrace_operator.model.outlook import Due

Rate = Callable[[float], float]
"""Tasks a second at a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Tasks in order of arrival, and what may be known of them beforehand."""

    arrivals: Sequence[float]
    """Seconds since the start."""
    services: Sequence[float]
    """How long each task takes in a slot."""
    horizon: float
    """How long the load is watched at least."""
    rate: Rate
    """The true rate, for the oracle; without batches."""
    batches: Sequence[tuple[float, int]] = ()
    """When how many tasks arrive together, for the oracle."""
    known: Sequence[Due] = ()
    """What an operator can know beforehand: Beat entries."""

    @property
    def service_seconds(self) -> float:
        """Mean time of a task."""
        return sum(self.services) / len(self.services) if self.services else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTime:
    """Log-normal service times."""

    mean: float
    variation: float
    """Standard deviation / mean."""

    def draw(self, chance: Random) -> float:
        """Draw the time of one task."""
        sigma = math.sqrt(math.log(1 + self.variation**2))
        return chance.lognormvariate(math.log(self.mean) - sigma**2 / 2, sigma)


def draw_workload(
    parts: Sequence[Mapping[str, Any]], *, service: ServiceTime, horizon: float, chance: Random
) -> Workload:
    """Draw a load that consists of parts: `steps`, `wave`, `burst` and `batches`."""
    rates: list[Rate] = []
    times: list[float] = []
    batches: list[tuple[float, int]] = []
    known: list[Due] = []
    for part in parts:
        match part:
            case {"steps": steps}:
                rates.append(_steps([(float(at), float(rate)) for at, rate in steps]))
                times += _poisson(rates[-1], max(float(rate) for _, rate in steps), horizon, chance)
            case {"wave": {"mean_rate": mean, "period_seconds": period}}:
                rates.append(_wave(float(mean), float(period)))
                times += _poisson(rates[-1], 2 * float(mean), horizon, chance)
            case {"burst": {"tasks": tasks, "within_seconds": within, "between": [earliest, latest]}}:
                at = chance.uniform(earliest, latest)
                batches.append((at, tasks))
                times += [at + chance.uniform(0, within) for _ in range(tasks)]
            case {"batches": {"tasks": tasks, "within_seconds": within, "every_seconds": every, "source": source}}:
                for at in range(int(every), int(horizon), int(every)):
                    batches.append((float(at), tasks))
                    known.append(Due(at=float(at), source=str(source)))
                    times += [at + chance.uniform(0, within) for _ in range(tasks)]
            case _:
                raise InputError(f"a scenario's arrivals know no part {dict(part)}; use steps, wave, burst or batches")
    times.sort()
    return Workload(
        arrivals=times,
        services=[service.draw(chance) for _ in times],
        horizon=horizon,
        rate=lambda at: sum(rate(at) for rate in rates) if at < horizon else 0.0,
        batches=batches,
        known=known,
    )


def replayed_workload(
    arrivals: Sequence[float], services: Sequence[float], *, smooth_seconds: float = 30.0
) -> Workload:
    """View recorded tasks as a load; the "true" rate is that of the seconds around a moment."""
    horizon = arrivals[-1] if arrivals else 0.0
    bins = [0] * (int(horizon) + 2)
    for at in arrivals:
        bins[int(at)] += 1
    sums = [0]
    for tasks in bins:
        sums.append(sums[-1] + tasks)
    half = int(smooth_seconds / 2)

    def rate(at: float) -> float:
        first, last = max(0, int(at) - half), min(len(bins), int(at) + half)
        return (sums[last] - sums[first]) / (last - first) if last > first else 0.0

    return Workload(arrivals=arrivals, services=services, horizon=horizon, rate=rate)


def _steps(steps: Sequence[tuple[float, float]]) -> Rate:
    if any(later[0] <= earlier[0] for earlier, later in pairwise(steps)):
        raise InputError("steps must be in order of time")

    def rate(at: float) -> float:
        return next((value for begins, value in reversed(steps) if begins <= at), 0.0)

    return rate


def _wave(mean: float, period: float) -> Rate:
    return lambda at: mean * (1 + math.sin(2 * math.pi * at / period - math.pi / 2))


def _poisson(rate: Rate, highest: float, horizon: float, chance: Random) -> list[float]:
    """Draw arrivals by thinning those of the highest rate."""
    times: list[float] = []
    at = chance.expovariate(highest)
    while at < horizon:
        if chance.random() * highest < rate(at):
            times.append(at)
        at += chance.expovariate(highest)
    return times
