"""One manifest for tasks of any length: the same objective holds, with nothing changed."""

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from millrace_loadtest.simulator.comparison import Run, run_once
from millrace_loadtest.simulator.experiments.check import Findings, at_least
from millrace_loadtest.simulator.parallel import map_all
from millrace_loadtest.simulator.policies import MILLRACE
from millrace_loadtest.simulator.progress import show_progress
from millrace_loadtest.simulator.scenario import Scenario, scenario_from
from millrace_loadtest.simulator.table import columns


def measure(text: Mapping[str, Any], thresholds: Mapping[str, Any]) -> Findings:
    """Play the same WorkerPool with each length of task, at the same load in slots."""
    lengths = [float(seconds) for seconds in text["service_seconds"]]
    seeds = range(1, int(text["seeds"]) + 1)
    scenarios = [_scenario(text, seconds) for seconds in lengths]
    runs = [Run(scenario, MILLRACE, seed) for scenario in scenarios for seed in seeds]
    outcomes = map_all(run_once, runs, progress=show_progress("one-manifest"))
    rows = []
    for index, seconds in enumerate(lengths):
        played = outcomes[index * len(seeds) : (index + 1) * len(seeds)]
        rows.append(
            {
                "service_seconds": seconds,
                "share_within": fmean(outcome.share_within for outcome in played),
                "least_share_within": min(outcome.share_within for outcome in played),
                "cost": fmean(outcome.cost for outcome in played),
                "killed": sum(outcome.killed for outcome in played),
            }
        )
    least = float(thresholds["share_within"])
    checks = tuple(
        at_least(
            f"share within the objective, tasks of {row['service_seconds']:g} s", row["share_within"], least, form=".2%"
        )
        for row in rows
    )
    table = columns(
        [["task s", "within", "worst seed", "cost"]]
        + [
            [
                f"{row['service_seconds']:g}",
                f"{row['share_within']:.2%}",
                f"{row['least_share_within']:.2%}",
                f"{row['cost']:.2f}",
            ]
            for row in rows
        ]
    )
    return Findings(checks=checks, figures={"rows": rows}, table=table)


def _scenario(text: Mapping[str, Any], seconds: float) -> Scenario:
    """Keep the load in slots the same: half as many tasks that take twice as long."""
    horizon = max(float(text["horizon_seconds"]), float(text["least_tasks"]) * seconds / float(text["load"]))
    whole = {
        **text,
        "horizon_seconds": horizon,
        "service": {"seconds": seconds, "variation": text["variation"]},
        "arrivals": [{"steps": [[0, float(text["load"]) / seconds]]}],
    }
    return replace(scenario_from(whole, name=f"one-manifest-{seconds:g}"), title=str(text["title"]))
