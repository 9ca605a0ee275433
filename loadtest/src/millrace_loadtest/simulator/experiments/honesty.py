"""Does the operator know how often the objective is missed? Predicted against measured, with fixed replicas."""

from collections.abc import Mapping
from random import Random
from statistics import fmean
from typing import Any

from millrace_loadtest.simulator.experiments.check import Check, Findings
from millrace_loadtest.simulator.ledger import share_within
from millrace_loadtest.simulator.millrace import Millrace
from millrace_loadtest.simulator.parallel import map_all
from millrace_loadtest.simulator.play import play_together
from millrace_loadtest.simulator.pool import PodTraits, SimulatedPool
from millrace_loadtest.simulator.progress import show_progress
from millrace_loadtest.simulator.table import columns
from millrace_loadtest.simulator.workload import ServiceTime, draw_workload
from millrace_operator.api.worker_pool import Objective, PoolPolicy
from millrace_operator.model.decision import ScalingDecision


class Forecaster(Millrace):
    """Keeps each second's prediction, from a time on at which the estimators have settled."""

    def __init__(self, policy: PoolPolicy, *, chance: Random, settled_at: float) -> None:
        super().__init__(policy, chance=chance)
        self.predicted: list[float] = []
        self._settled_at = settled_at

    def note(self, now: float, decision: ScalingDecision) -> None:
        """Keep the prediction."""
        predicted = decision.estimates.miss_probability
        if now >= self._settled_at and predicted is not None:
            self.predicted.append(predicted)


def measure(scenario: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Findings:
    """Compare both at each load and each variability of the service time."""
    limit = float(thresholds["points"])
    rows = _rows(scenario)
    checks = [
        Check(
            what=f"P(wait > objective) at load {row['load']:g}, cv {row['variation']}, {row['replicas']} pods",
            measured=f"{row['predicted']:.1%} predicted, {row['measured']:.1%} measured",
            threshold=f"within {limit:g} points",
            is_met=abs(row["predicted"] - row["measured"]) * 100 <= limit,
        )
        for row in rows
    ]
    table = columns(
        [["load", "cv", "pods", "predicted", "measured"]]
        + [
            [
                f"{row['load']:g}",
                f"{row['variation']}",
                f"{row['replicas']}",
                f"{row['predicted']:.1%}",
                f"{row['measured']:.1%}",
            ]
            for row in rows
        ]
    )
    return Findings(checks=tuple(checks), figures={"rows": rows}, table=table)


def _rows(scenario: Mapping[str, Any]) -> list[dict[str, float]]:
    seeds = range(1, int(scenario["seeds"]) + 1)
    cases = [
        (float(load), int(replicas), float(variation))
        for variation in scenario["variations"]
        for load, replicas in scenario["replicas_by_load"].items()
    ]
    pairs = map_all(
        lambda job: _play(scenario, *job),
        [(*case, seed) for case in cases for seed in seeds],
        progress=show_progress("honesty"),
    )
    rows = []
    for index, (load, replicas, variation) in enumerate(cases):
        played = pairs[index * len(seeds) : (index + 1) * len(seeds)]
        rows.append(
            {
                "load": load,
                "variation": variation,
                "replicas": replicas,
                "predicted": fmean(predicted for predicted, _ in played),
                "measured": fmean(measured for _, measured in played),
            }
        )
    return rows


def _play(scenario: Mapping[str, Any], load: float, replicas: int, variation: float, seed: int) -> tuple[float, float]:
    """Return (predicted, measured) share of tasks that wait longer than the objective."""
    seconds, horizon = float(scenario["service_seconds"]), float(scenario["horizon_seconds"])
    settled_at, objective = float(scenario["settled_at_seconds"]), float(scenario["objective_seconds"])
    chance = Random(f"honesty {load} {variation} {seed}")  # noqa: S311 - a load, not a secret
    workload = draw_workload(
        [{"steps": [[0, load / seconds]]}],
        service=ServiceTime(mean=seconds, variation=variation),
        horizon=horizon,
        chance=chance,
    )
    policy = PoolPolicy(
        concurrency=1,
        min_replicas=replicas,
        max_replicas=replicas,
        objective=Objective(wait_seconds=objective, percentile=95),
    )
    pool = SimulatedPool(workload, PodTraits(), chance=chance)
    scaler = Forecaster(policy, chance=chance, settled_at=settled_at)
    scaler.begin(pool)
    play_together([(pool, scaler)])
    waits = [
        wait
        for wait, arrived in zip(pool.ledger.waits, workload.arrivals, strict=True)
        if wait is not None and arrived >= settled_at
    ]
    return fmean(scaler.predicted), 1 - share_within(waits, objective)
