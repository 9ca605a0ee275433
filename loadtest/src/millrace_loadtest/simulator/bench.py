"""`make bench-scaling`: every simulated figure against its threshold; 1 when one is missed."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.cli import say
from millrace_loadtest.simulator.experiments import (
    blackout,
    honesty,
    manifest,
    rivals,
    scale_downs,
    shared_budget,
)
from millrace_loadtest.simulator.experiments.check import Check, Findings
from millrace_loadtest.simulator.pool import PodTraits
from millrace_loadtest.simulator.scaler import Goal
from millrace_loadtest.simulator.scenario import (
    SCENARIOS,
    Scenario,
    kind_of,
    load_scenario,
    read_yaml,
    recorded_scenario,
)
from millrace_loadtest.simulator.table import columns
from millrace_loadtest.simulator.trace import ServiceTimes, read_trace

TRACE = "trace"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all scenarios or those that are named, write their reports, print the table."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("scenarios", nargs="*", help="folders of loadtest/scenarios (default: all that are simulated)")
    command.add_argument("--trace", type=Path, help="the real trace; without it that row is left out")
    options = command.parse_args(arguments)
    paths = sorted(SCENARIOS.glob("*/scenario.yaml"))
    results: dict[str, tuple[Check, ...]] = {}
    for path in paths:
        name = path.parent.name
        if options.scenarios and name not in options.scenarios:
            continue
        if kind_of(path) == TRACE and (options.trace is None or not options.trace.is_file()):
            say(f"\n== {name}: left out, there is no trace at {options.trace}; give TRACE=path\n")
            continue
        findings = measure(path, trace=options.trace)
        say(f"\n== {name}: {read_yaml(path)['title']}\n{findings.table}\n")
        _write_report(path.with_name("report.json"), findings)
        results[name] = findings.checks
    say(targets_table(results))
    return 0 if all(check.is_met is not False for checks in results.values() for check in checks) else 1


def measure(path: Path, *, trace: Path | None) -> Findings:
    """Do what the kind of a scenario asks for."""
    text, thresholds = read_yaml(path), read_yaml(path.with_name("thresholds.yaml"))
    match kind_of(path):
        case "comparison":
            findings = rivals.measure(load_scenario(path), thresholds)
        case "trace" if trace is not None:
            findings = rivals.measure(_recorded(path.parent.name, text, trace), thresholds)
        case "one-manifest":
            findings = manifest.measure(text, thresholds)
        case "scale-downs":
            findings = scale_downs.measure(load_scenario(path), thresholds)
        case "blackout":
            findings = blackout.measure(load_scenario(path), text, thresholds)
        case "honesty":
            findings = honesty.measure(text, thresholds)
        case "shared-budget":
            findings = shared_budget.measure(text, thresholds)
        case kind:
            raise InputError(f"{path}: no experiment is called {kind!r}")
    return findings


def targets_table(results: Mapping[str, tuple[Check, ...]]) -> str:
    """Lay out measured, threshold and verdict of each check."""
    verdicts = {True: "met", False: "MISSED", None: "-"}
    rows = [
        [f"{name}: {check.what}", check.measured, check.threshold, verdicts[check.is_met]]
        for name, checks in results.items()
        for check in checks
    ]
    return columns([["target", "measured", "threshold", "verdict"], *rows])


def _recorded(name: str, text: Mapping[str, Any], trace: Path) -> Scenario:
    objective, pod = text["objective"], text["pod"]
    wait = float(objective["wait_seconds"])
    service = ServiceTimes(expression=text["service_expression"])
    return recorded_scenario(
        read_trace(trace, service=service, smooth_seconds=wait),
        name=name,
        goal=Goal(
            wait_seconds=wait,
            percentile=int(objective["percentile"]),
            max_replicas=int(text["max_replicas"]),
            concurrency=1,
        ),
        traits=PodTraits(
            cold_start_seconds=float(pod["cold_start_seconds"]), grace_seconds=float(pod["grace_seconds"])
        ),
    )


def _write_report(path: Path, findings: Findings) -> None:
    report = {"checks": [asdict(check) for check in findings.checks], **findings.figures}
    path.write_text(json.dumps(report, indent=2, default=float) + "\n")


if __name__ == "__main__":
    sys.exit(main())
