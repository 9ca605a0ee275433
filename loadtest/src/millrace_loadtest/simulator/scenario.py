"""A scenario: a load, what a pod is like, and the goal; read from `scenarios/<name>/scenario.yaml`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import yaml

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.pool import PodTraits
from millrace_loadtest.simulator.scaler import Goal
from millrace_loadtest.simulator.workload import ServiceTime, Workload, draw_workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One load with its goal. The workload is drawn anew for each seed; a recorded one is always the same."""

    name: str
    title: str
    goal: Goal
    traits: PodTraits
    service_seconds: float
    """Mean, as a user who tunes KEDA would know it."""
    draw: Callable[[int], Workload]


SCENARIOS: Final = Path(__file__).resolve().parents[3] / "scenarios"
COMPARISON: Final = "comparison"


def comparisons() -> list[Scenario]:
    """Load the scenarios that compare policies on one pool."""
    paths = sorted(SCENARIOS.glob("*/scenario.yaml"))
    return [load_scenario(path) for path in paths if kind_of(path) == COMPARISON]


def kind_of(path: Path) -> str:
    """Say what a scenario measures."""
    return str(read_yaml(path).get("kind", COMPARISON))


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read a file of a scenario."""
    try:
        text = yaml.safe_load(path.read_text())
    except OSError as error:
        known = ", ".join(sorted(found.parent.name for found in SCENARIOS.glob("*/scenario.yaml")))
        raise InputError(f"{path} cannot be read ({error.strerror}); scenarios are {known}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {error}") from error
    if not isinstance(text, dict):
        raise InputError(f"{path} must be a mapping")
    return text


def load_scenario(path: Path) -> Scenario:
    """Read a scenario."""
    return scenario_from(read_yaml(path), name=path.parent.name)


def scenario_from(text: Mapping[str, Any], *, name: str) -> Scenario:
    """View a scenario's YAML."""
    try:
        return _scenario(text, name)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"scenario {name} is not complete or has a wrong value: {error!r}") from error


def _scenario(text: Mapping[str, Any], name: str) -> Scenario:
    service = ServiceTime(mean=float(text["service"]["seconds"]), variation=float(text["service"]["variation"]))
    pod, objective, horizon = text["pod"], text["objective"], float(text["horizon_seconds"])

    def draw(seed: int) -> Workload:
        chance = Random(f"{name} {seed}")  # noqa: S311 - a load, not a secret
        return draw_workload(text["arrivals"], service=service, horizon=horizon, chance=chance)

    return Scenario(
        name=name,
        title=text["title"],
        goal=Goal(
            wait_seconds=float(objective["wait_seconds"]),
            percentile=int(objective["percentile"]),
            max_replicas=int(text["max_replicas"]),
            concurrency=int(pod.get("slots", 1)),
        ),
        traits=PodTraits(
            slots=int(pod.get("slots", 1)),
            cold_start_seconds=float(pod["cold_start_seconds"]),
            grace_seconds=float(pod.get("grace_seconds", 30)),
        ),
        service_seconds=service.mean,
        draw=draw,
    )


def recorded_scenario(workload: Workload, *, name: str, goal: Goal, traits: PodTraits) -> Scenario:
    """View a recorded load as a scenario: the same for each seed."""
    rate = len(workload.arrivals) / workload.horizon if workload.horizon else 0.0
    return Scenario(
        name=name,
        title=f"{len(workload.arrivals):,} tasks of {workload.service_seconds:.3g} s on average, {rate:.3g} a second",
        goal=goal,
        traits=traits,
        service_seconds=workload.service_seconds,
        draw=lambda _: workload,
    )
