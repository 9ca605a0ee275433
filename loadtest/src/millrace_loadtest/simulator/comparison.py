"""All policies on the same loads: one run for each policy and seed, several at once."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from random import Random
from statistics import fmean
from typing import Final

from millrace_loadtest.simulator.ledger import Outcome
from millrace_loadtest.simulator.millrace import Law
from millrace_loadtest.simulator.parallel import map_all
from millrace_loadtest.simulator.play import Moment, play
from millrace_loadtest.simulator.policies import KEDA, make_scaler
from millrace_loadtest.simulator.pool import SimulatedPool
from millrace_loadtest.simulator.progress import Progress
from millrace_loadtest.simulator.scenario import Scenario

Averages = Mapping[str, float | None]
"""The fields of an Outcome and `cost`, as means over the seeds."""


@dataclass(frozen=True, slots=True)
class Run:
    """One policy with one seed of one scenario."""

    scenario: Scenario
    policy: str
    seed: int
    law: Law | None = None


def run_once(run: Run, *, film: list[Moment] | None = None) -> Outcome:
    """Play one run. The load depends on the seed alone, so that all policies meet the same."""
    chance = Random(f"{run.scenario.name} {run.seed} {run.policy}")  # noqa: S311 - a load, not a secret
    pool = SimulatedPool(run.scenario.draw(run.seed), run.scenario.traits, chance=chance)
    scaler = make_scaler(run.policy, run.scenario, chance=chance, law=run.law)
    return play(pool, scaler, run.scenario.goal, film=film)


def run_filmed(run: Run) -> list[Moment]:
    """Play one run and return what a picture shows of it."""
    film: list[Moment] = []
    run_once(run, film=film)
    return film


def compare(
    scenario: Scenario,
    policies: Sequence[str],
    seeds: Sequence[int],
    *,
    law: Law | None = None,
    progress: Progress | None = None,
) -> dict[str, Averages]:
    """Return each policy's means over the seeds."""
    runs = [Run(scenario, policy, seed, law) for policy in policies for seed in seeds]
    outcomes = map_all(run_once, runs, progress=progress)
    size = len(seeds)
    return {policy: average(outcomes[i * size : (i + 1) * size]) for i, policy in enumerate(policies)}


MOMENTS: Final = ("first_up_seconds", "cap_seconds")


def average(outcomes: Sequence[Outcome]) -> Averages:
    """Return the mean of each field; of moments the mean of the runs in which they came, None when in none."""
    fields = [asdict(outcome) | {"cost": outcome.cost} for outcome in outcomes]
    means: dict[str, float | None] = {}
    for name in fields[0]:
        values = [field[name] for field in fields if field[name] is not None]
        means[name] = fmean(values) if values else None
    # Costs of runs with little work must not outweigh the others: total pod-seconds over total work.
    work = sum(outcome.work_seconds for outcome in outcomes)
    means["cost"] = sum(outcome.pod_seconds for outcome in outcomes) / work if work else 0.0
    return means


def best_keda(averages: Mapping[str, Averages], *, percentile: int) -> str | None:
    """Return the cheapest KEDA setting that meets the objective; if none does, the one that comes nearest."""
    kedas = [name for name in KEDA if name in averages]
    meeting = [name for name in kedas if value(averages[name], "share_within") >= percentile / 100]
    if meeting:
        return min(meeting, key=lambda name: value(averages[name], "pod_seconds"))
    nearest = lambda name: (value(averages[name], "share_within"), -value(averages[name], "p95"))  # noqa: E731 - used once, right below
    return max(kedas, key=nearest, default=None)


def value(averages: Averages, name: str) -> float:
    """Return a mean that always exists."""
    mean = averages[name]
    if mean is None:
        raise KeyError(name)
    return mean
