"""Millrace against the best KEDA and the oracle, on one pool."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from millrace_loadtest.simulator.comparison import Averages, best_keda, compare, value
from millrace_loadtest.simulator.experiments.check import Check, Findings, at_least, at_most
from millrace_loadtest.simulator.policies import MILLRACE, NAMES, ORACLE
from millrace_loadtest.simulator.progress import show_progress
from millrace_loadtest.simulator.scenario import Scenario
from millrace_loadtest.simulator.table import LEGEND, comparison_table

SEEDS: Final = 10
AXES: Final[Mapping[str, str]] = {
    "cost": ".2f",
    "starts": ".0f",
    "p95": ".1f",
    "killed": ".1f",
    "redelivered": ".1f",
    "lost_seconds": ".0f",
}


def measure(scenario: Scenario, thresholds: Mapping[str, Any], *, seeds: int = SEEDS) -> Findings:
    """Play all policies and hold Millrace against the thresholds that the scenario has."""
    averages = compare(scenario, NAMES, range(1, seeds + 1), progress=show_progress(scenario.name))
    best = best_keda(averages, percentile=scenario.goal.percentile) or ""
    return Findings(
        checks=tuple(_checks(scenario, thresholds, averages, best)),
        figures={"seeds": seeds, "best_keda": best, "policies": averages},
        table=f"{comparison_table(averages, marked=best)}\n{LEGEND}",
    )


def _checks(
    scenario: Scenario, thresholds: Mapping[str, Any], averages: Mapping[str, Averages], best: str
) -> Iterator[Check]:
    ours, keda, oracle = averages[MILLRACE], averages[best], averages[ORACLE]
    within, theirs = value(ours, "share_within"), value(keda, "share_within")
    if "share_within" in thresholds:
        yield at_least("share within the objective", within, float(thresholds["share_within"]), form=".2%")
    if thresholds.get("share_within_of_best_keda"):
        yield at_least("share within the objective", within, theirs, form=".2%", of=f", {best}")
    if "pod_seconds_of_best_keda" in thresholds:
        is_rival = theirs >= scenario.goal.percentile / 100 or bool(thresholds.get("even_if_keda_misses"))
        yield _against_keda(ours, keda, best, float(thresholds["pod_seconds_of_best_keda"]), is_rival=is_rival)
    if "pod_seconds_of_oracle" in thresholds:
        ratio = value(ours, "pod_seconds") / value(oracle, "pod_seconds")
        yield at_most("pod-seconds, of the oracle's", ratio, float(thresholds["pod_seconds_of_oracle"]))
    for axis in thresholds.get("no_worse_than_best_keda", ()):
        yield at_most(axis.replace("_", " "), value(ours, axis), value(keda, axis), form=AXES[axis], of=f", {best}")


def _against_keda(ours: Averages, keda: Averages, best: str, threshold: float, *, is_rival: bool) -> Check:
    what, ratio = f"pod-seconds, of {best}'s", value(ours, "pod_seconds") / value(keda, "pod_seconds")
    if is_rival:
        return at_most(what, ratio, threshold)
    return Check(what=what, measured=f"{ratio:.2f}, no KEDA meets the objective", threshold="-", is_met=None)
