"""Turn runs into what is told: a table for people, a report for machines, and what misses its threshold."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from millrace_loadtest.live.recording import Recording, figures

COLUMNS: Final = (
    ("1st asked", "first_scale_up_seconds", "s"),
    ("cap asked", "cap_asked_seconds", "s"),
    ("writes", "writes_to_cap", ""),
    ("wait p50", "wait_p50_seconds", "s"),
    ("wait p95", "wait_p95_seconds", "s"),
    ("in objective", "within_objective", "%"),
    ("all done", "all_ended_seconds", "s"),
    ("pod-s", "pod_seconds", ""),
    ("per work-s", "pod_seconds_per_work_second", ""),
    ("pods", "pod_starts", ""),
    ("busy stopped", "busy_pods_told_to_stop", ""),
    ("killed", "tasks_killed", ""),
    ("twice", "tasks_started_twice", ""),
    ("redeliv.", "redelivered", ""),
)


def report(
    recordings: Sequence[Recording], *, cap: int, objective_seconds: float, thresholds: Mapping[str, float]
) -> dict[str, Any]:
    """Answer everything that was measured, and each threshold with whether it is met."""
    runs = [
        {
            "scaler": each.scaler,
            "load": each.load,
            "began": each.began,
            "conditions": dict(each.conditions),
            **figures(each, cap=cap, objective_seconds=objective_seconds),
        }
        for each in recordings
    ]
    return {
        "cap": cap,
        "objective_wait_seconds": objective_seconds,
        "runs": runs,
        "thresholds": _checks(runs, thresholds),
    }


def _checks(runs: Sequence[Mapping[str, Any]], thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Compare Millrace's own runs with the thresholds; a run that was not made meets nothing."""
    found = {each["load"]: each for each in runs if each["scaler"] == "millrace"}
    wanted = (
        ("burst_cap_asked_seconds", "burst", "cap_asked_seconds"),
        ("burst_writes_to_cap", "burst", "writes_to_cap"),
        ("burst_tasks_killed", "burst", "tasks_killed"),
        ("on_off_tasks_killed", "on-off", "tasks_killed"),
        ("on_off_tasks_started_twice", "on-off", "tasks_started_twice"),
    )
    checks = []
    for name, load, figure in wanted:
        if load in found:
            measured = found[load][figure]
            is_met = measured is not None and measured <= thresholds[name]
            checks.append({"name": name, "measured": measured, "at_most": thresholds[name], "is_met": is_met})
    return checks


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Write the runs one below the other."""
    header = ["load", "scaler", *(title for title, _, _ in COLUMNS)]
    rows = [
        [str(each["load"]), str(each["scaler"]), *(_cell(each[key], unit) for _, key, unit in COLUMNS)] for each in runs
    ]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]
    )


def verdicts(checks: Sequence[Mapping[str, Any]]) -> str:
    """Write each threshold with what was measured."""
    lines = []
    for each in checks:
        limit = f"at most {each['at_most']}" if "at_most" in each else f"at least {each['at_least']}"
        lines.append(f"{'met   ' if each['is_met'] else 'MISSED'}  {each['name']}: {each['measured']} ({limit})")
    return "\n".join(lines)


def _cell(value: float | None, unit: str) -> str:
    if value is None:
        return "never" if unit == "s" else "-"
    return f"{100 * value:.1f} %" if unit == "%" else f"{value:g}{' ' + unit if unit else ''}"
