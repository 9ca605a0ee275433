"""The policies that are compared, by name."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from millrace_loadtest.simulator.keda import Keda, KedaSettings
from millrace_loadtest.simulator.knative import Knative
from millrace_loadtest.simulator.millrace import Law, Millrace
from millrace_loadtest.simulator.oracle import Oracle
from millrace_loadtest.simulator.scaler import Goal, Scaler
from millrace_loadtest.simulator.scenario import Scenario
from millrace_operator.api.worker_pool import Objective, PoolPolicy

MILLRACE: Final = "millrace"
ORACLE: Final = "oracle"
TUNED_POLL_SECONDS: Final = 5.0
SHORT_COOLDOWN_SECONDS: Final = 60.0
RATE_UTILISATION: Final = 0.8

Settings = Callable[[Scenario], KedaSettings]


def _per_objective(scenario: Scenario) -> float:
    """Messages that a slot serves within the objective: the guidance of AWS, and the best that a user can compute."""
    return max(1.0, scenario.goal.wait_seconds / scenario.service_seconds) * scenario.goal.concurrency


def _per_slot(scenario: Scenario) -> float:
    return float(scenario.goal.concurrency)


def _rate(scenario: Scenario) -> float:
    return RATE_UTILISATION * scenario.goal.concurrency / scenario.service_seconds


def _tuned(length: Callable[[Scenario], float], *, has_rate: bool = False, **settings: float) -> Settings:
    return lambda scenario: KedaSettings(
        length_target=length(scenario),
        rate_target=_rate(scenario) if has_rate else None,
        poll_seconds=TUNED_POLL_SECONDS,
        **settings,  # type: ignore[arg-type] # the values are floats, the only flag is not among them
    )


KEDA: Final[Mapping[str, Settings]] = {
    "keda-default": lambda _: KedaSettings(),
    "keda-length": _tuned(_per_objective),
    "keda-length-60": _tuned(_per_objective, cooldown_seconds=SHORT_COOLDOWN_SECONDS),
    "keda-one": _tuned(_per_slot),
    "keda-one-60": _tuned(_per_slot, cooldown_seconds=SHORT_COOLDOWN_SECONDS),
    "keda-rate": _tuned(_per_objective, has_rate=True),
    "keda-rate-60": _tuned(_per_objective, has_rate=True, cooldown_seconds=SHORT_COOLDOWN_SECONDS),
}
"""The settings of which the best is the rival: KEDA's defaults, and what users who tune it set."""

SHOWN: Final[Mapping[str, Settings]] = {
    "keda-rate-idle-first": lambda scenario: KedaSettings(
        length_target=_per_objective(scenario),
        rate_target=_rate(scenario),
        poll_seconds=TUNED_POLL_SECONDS,
        is_idle_first=True,
    ),
    "keda-one-brisk": _tuned(_per_slot, cooldown_seconds=SHORT_COOLDOWN_SECONDS, window_seconds=SHORT_COOLDOWN_SECONDS),
    "keda-length-brisk": _tuned(
        _per_objective, cooldown_seconds=SHORT_COOLDOWN_SECONDS, window_seconds=SHORT_COOLDOWN_SECONDS
    ),
    "hpa": lambda scenario: KedaSettings(length_target=_per_objective(scenario), min_replicas=1),
}
"""Shown beside them: an order of removal that KEDA does not have, a short window of the HPA, the HPA alone."""

KNATIVE: Final = "knative"
NAMES: Final = (MILLRACE, *KEDA, *SHOWN, KNATIVE, ORACLE)


def make_scaler(name: str, scenario: Scenario, *, chance: Random, law: Law | None = None) -> Scaler:
    """Make the autoscaler of this name for the pool of a scenario."""
    goal, grace = scenario.goal, scenario.traits.grace_seconds
    if name == MILLRACE:
        return Millrace(policy_of(goal), chance=chance, law=law)
    if name == ORACLE:
        return Oracle(goal, chance=chance)
    if name == KNATIVE:
        return Knative(goal, grace_seconds=grace, chance=chance)
    settings = (KEDA.get(name) or SHOWN[name])(scenario)
    return Keda(settings, goal, grace_seconds=grace, chance=chance)


def policy_of(goal: Goal) -> PoolPolicy:
    """Write the goal as a WorkerPool's spec: the objective and the limits, nothing else."""
    return PoolPolicy(
        concurrency=goal.concurrency,
        min_replicas=0,
        max_replicas=goal.max_replicas,
        objective=Objective(wait_seconds=goal.wait_seconds, percentile=goal.percentile),
    )
