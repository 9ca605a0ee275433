"""`millrace-simulate`: what would Millrace, KEDA, the HPA and Knative have done with this load?"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.comparison import Averages, Progress, best_keda, compare
from millrace_loadtest.simulator.millrace import Law
from millrace_loadtest.simulator.policies import NAMES
from millrace_loadtest.simulator.scenario import Scenario, load_scenario
from millrace_loadtest.simulator.table import LEGEND, comparison_table

SCENARIOS = Path(__file__).resolve().parents[3] / "scenarios"


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    command = argparse.ArgumentParser(prog="millrace-simulate", description=__doc__)
    command.add_argument("--scenario", action="append", help="a folder of loadtest/scenarios; may be repeated")
    command.add_argument("--policies", default=",".join(NAMES), help=f"of {', '.join(NAMES)} (default: all)")
    command.add_argument("--seeds", type=int, default=10, help="how many loads are drawn (default: 10)")
    command.add_argument("--law", help="a variant of the operator's decide, as module:function")
    command.add_argument("--json", type=Path, help="write the figures to this file")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    try:
        scenarios = [load_scenario(SCENARIOS / name / "scenario.yaml") for name in options.scenario]
        law = _law(options.law)
        results = {scenario.name: _simulate(scenario, options, law) for scenario in scenarios}
    except InputError as error:
        print(f"millrace-simulate: {error}", file=sys.stderr)  # noqa: T201 - a command speaks to its terminal
        return 2
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def _simulate(scenario: Scenario, options: argparse.Namespace, law: Law | None) -> dict[str, Averages]:
    policies, seeds = options.policies.split(","), range(1, options.seeds + 1)
    averages = compare(scenario, policies, seeds, law=law, progress=show_progress(scenario.name))
    best = best_keda(averages, percentile=scenario.goal.percentile)
    print(f"\n{scenario.name}: {scenario.title} ({options.seeds} seeds; * the best KEDA)")  # noqa: T201
    print(comparison_table(averages, marked=best))  # noqa: T201
    return averages


def _law(name: str | None) -> Law | None:
    if name is None:
        return None
    module, _, function = name.partition(":")
    law: Law = getattr(importlib.import_module(module), function)
    return law


def show_progress(name: str) -> Progress:
    """Return a progress line for stderr."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty() or done == total:
            end = "\n" if done == total else ""
            print(f"\r{name}: {done}/{total} runs", end=end, file=sys.stderr, flush=True)  # noqa: T201

    return show
