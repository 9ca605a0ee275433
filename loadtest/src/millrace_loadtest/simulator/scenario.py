"""A scenario: a load, what a pod is like, and the goal; read from `scenarios/<name>/scenario.yaml`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

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


def load_scenario(path: Path) -> Scenario:
    """Read a scenario."""
    return scenario_from(yaml.safe_load(path.read_text()), name=path.parent.name)


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
