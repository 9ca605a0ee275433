"""What would Millrace, KEDA, the HPA and Knative have done with this load?"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.comparison import Averages, Run, best_keda, compare, run_filmed
from millrace_loadtest.simulator.millrace import Law
from millrace_loadtest.simulator.policies import MILLRACE, NAMES, ORACLE
from millrace_loadtest.simulator.pool import PodTraits
from millrace_loadtest.simulator.progress import show_progress
from millrace_loadtest.simulator.scaler import Goal
from millrace_loadtest.simulator.scenario import SCENARIOS, Scenario, comparisons, load_scenario, recorded_scenario
from millrace_loadtest.simulator.table import LEGEND, comparison_table
from millrace_loadtest.simulator.trace import ServiceTimes, read_trace

EXAMPLES = """examples:
  millrace-simulate --scenario step --scenario on-off --seeds 3
  millrace-simulate --trace arrivals.csv --service-seconds 5
  millrace-simulate --trace requests.csv --timestamp-column TIMESTAMP \\
      --service-expression "0.2 + 0.0002*ContextTokens + 0.03*GeneratedTokens" \\
      --objective-seconds 10 --cold-start-seconds 30 --picture what-if.png
"""


def parser() -> argparse.ArgumentParser:
    """Describe the command."""
    command = argparse.ArgumentParser(
        prog="millrace-simulate",
        description=f"{__doc__}\n\nPlays a load, drawn by chance or recorded, against each of them, second by second.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    load = command.add_argument_group("the load: one of")
    load.add_argument("--scenario", action="append", default=[], help="may be repeated; see --list")
    load.add_argument("--trace", type=Path, help="CSV with a header and a line for each task")
    load.add_argument("--list", action="store_true", help="name the scenarios and end")
    trace = command.add_argument_group("what a trace means")
    trace.add_argument("--timestamp-column", help="seconds or ISO 8601 times (default: the first column)")
    trace.add_argument("--service-seconds", type=float, help="every task takes so long")
    trace.add_argument("--service-column", help="the column that says how many seconds a task took")
    trace.add_argument("--service-expression", help="arithmetic over the columns that gives those seconds")
    goal = command.add_argument_group("what the pool is like, for a trace")
    goal.add_argument("--objective-seconds", type=float, default=30.0, help="accepted wait (default: 30)")
    goal.add_argument("--percentile", type=int, default=95, help="share of tasks that it holds for (default: 95)")
    goal.add_argument("--cold-start-seconds", type=float, default=30.0, help="a pod takes so long to start (30)")
    goal.add_argument("--grace-seconds", type=float, default=30.0, help="terminationGracePeriodSeconds (30)")
    goal.add_argument("--concurrency", type=int, default=1, help="task slots of a pod (1)")
    goal.add_argument("--max-replicas", type=int, default=60, help="(60)")
    command.add_argument("--policies", default=",".join(NAMES), help=f"some of {', '.join(NAMES)} (default: all)")
    command.add_argument("--seeds", type=int, default=10, help="how often chance is asked anew (default: 10)")
    command.add_argument("--law", help="a variant of the operator's decide, as module:function")
    command.add_argument("--json", type=Path, help="write the figures to this file")
    command.add_argument("--picture", type=Path, help="draw wait, replicas and backlog over time to this .png or .svg")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 when it could, 2 when the input cannot be used."""
    options = parser().parse_args(arguments)
    try:
        if options.list:
            say("\n".join(f"{scenario.name:12}  {scenario.title}" for scenario in comparisons()))
            return 0
        scenarios = _scenarios(options)
        results = {scenario.name: _simulate(scenario, options) for scenario in scenarios}
        if options.picture:
            _draw(scenarios[0], results[scenarios[0].name], options)
        if options.json:
            options.json.write_text(json.dumps(results, indent=2) + "\n")
    except (InputError, OSError) as error:
        print(f"millrace-simulate: {error}", file=sys.stderr)  # noqa: T201 - a command speaks to its terminal
        return 2
    return 0


def say(text: str) -> None:
    """Write to the terminal."""
    print(text, flush=True)  # noqa: T201 - the table is what the command is for


def _scenarios(options: argparse.Namespace) -> list[Scenario]:
    if bool(options.scenario) == bool(options.trace):
        raise InputError("give either --scenario (see --list) or --trace")
    if options.seeds < 1:
        raise InputError("--seeds must be at least 1")
    if not options.trace:
        return [load_scenario(SCENARIOS / name / "scenario.yaml") for name in options.scenario]
    service = ServiceTimes(
        seconds=options.service_seconds, column=options.service_column, expression=options.service_expression
    )
    return [
        recorded_scenario(
            read_trace(
                options.trace,
                service=service,
                timestamp_column=options.timestamp_column,
                smooth_seconds=options.objective_seconds,
            ),
            name=options.trace.stem,
            goal=Goal(
                wait_seconds=options.objective_seconds,
                percentile=options.percentile,
                max_replicas=options.max_replicas,
                concurrency=options.concurrency,
            ),
            traits=PodTraits(
                slots=options.concurrency,
                cold_start_seconds=options.cold_start_seconds,
                grace_seconds=options.grace_seconds,
            ),
        )
    ]


def _simulate(scenario: Scenario, options: argparse.Namespace) -> dict[str, Any]:
    policies = options.policies.split(",")
    unknown = sorted(set(policies) - set(NAMES))
    if unknown:
        raise InputError(f"no policy is called {unknown[0]!r}; there are {', '.join(NAMES)}")
    averages = compare(
        scenario,
        policies,
        range(1, options.seeds + 1),
        law=_law(options.law),
        progress=show_progress(scenario.name),
    )
    best = best_keda(averages, percentile=scenario.goal.percentile)
    seeds = "1 seed" if options.seeds == 1 else f"{options.seeds} seeds"
    say(f"\n{scenario.name}: {scenario.title}; {seeds}, * is the best KEDA")
    say(comparison_table(averages, marked=best))
    say(LEGEND)
    return {"seeds": options.seeds, "best_keda": best, "policies": averages}


def _draw(scenario: Scenario, results: dict[str, Any], options: argparse.Namespace) -> None:
    """Draw the first seed of those that a reader wants to compare."""
    from millrace_loadtest.simulator.picture import draw_picture  # noqa: PLC0415 - matplotlib takes seconds to load

    averages: dict[str, Averages] = results["policies"]
    wanted = [name for name in (results["best_keda"], ORACLE, MILLRACE) if name in averages] or list(averages)[:3]
    films = {name: run_filmed(Run(scenario, name, 1, _law(options.law))) for name in wanted}
    draw_picture(options.picture, scenario, films)


def _law(name: str | None) -> Law | None:
    if name is None:
        return None
    module, _, function = name.partition(":")
    try:
        law: Law = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"--law {name}: {error}") from error
    return law
