"""A thousand times fewer replicas, with tasks that take longer than the grace period: nobody may notice."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from millrace_loadtest.simulator.comparison import Run, run_once
from millrace_loadtest.simulator.experiments.check import Findings, at_least, at_most
from millrace_loadtest.simulator.ledger import Outcome
from millrace_loadtest.simulator.policies import MILLRACE
from millrace_loadtest.simulator.scenario import Scenario
from millrace_loadtest.simulator.table import columns

RIVAL = "keda-length"


def measure(scenario: Scenario, thresholds: Mapping[str, Any]) -> Findings:
    """Play seed after seed until there were enough writes that lower replicas."""
    steps = int(thresholds["least_steps"])
    outcomes: list[Outcome] = []
    for seed in count(1):
        outcomes.append(run_once(Run(scenario, MILLRACE, seed)))
        if sum(outcome.downs for outcome in outcomes) >= steps:
            break
    rival = [run_once(Run(scenario, RIVAL, seed)) for seed in range(1, len(outcomes) + 1)]
    ours, theirs = _totals(outcomes), _totals(rival)
    return Findings(
        checks=(
            at_least("scale-down steps", ours["downs"], steps, form=",.0f"),
            at_most("busy pods told to stop", ours["busy_victims"], 0, form=",.0f"),
            at_most("busy pods killed", ours["killed"], 0, form=",.0f"),
            at_most("tasks delivered twice", ours["redelivered"], 0, form=",.0f"),
        ),
        figures={"seeds": len(outcomes), MILLRACE: ours, RIVAL: theirs},
        table=columns(
            [
                ["", "steps", "pods that went", "busy then", "killed", "tasks twice"],
                *(
                    [name, *(f"{number:,}" for number in totals.values())]
                    for name, totals in ((MILLRACE, ours), (RIVAL, theirs))
                ),
            ]
        ),
    )


def _totals(outcomes: list[Outcome]) -> dict[str, int]:
    names = ("downs", "victims", "busy_victims", "killed", "redelivered")
    return {name: sum(getattr(outcome, name) for outcome in outcomes) for name in names}
