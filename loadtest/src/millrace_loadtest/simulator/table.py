"""Figures as text for a terminal."""

from collections.abc import Mapping, Sequence

from millrace_loadtest.simulator.comparison import Averages

COLUMNS = (
    ("within", "share_within", lambda mean: f"{mean:.1%}"),
    ("p50 s", "p50", lambda mean: f"{mean:.1f}"),
    ("p95 s", "p95", lambda mean: f"{mean:.1f}"),
    ("p99 s", "p99", lambda mean: f"{mean:.1f}"),
    ("cost", "cost", lambda mean: f"{mean:.2f}"),
    ("killed", "killed", lambda mean: f"{mean:.1f}"),
    ("twice", "redelivered", lambda mean: f"{mean:.1f}"),
    ("lost s", "lost_seconds", lambda mean: f"{mean:.0f}"),
    ("peak", "peak", lambda mean: f"{mean:.1f}"),
    ("starts", "starts", lambda mean: f"{mean:.0f}"),
    ("writes", "writes", lambda mean: f"{mean:.0f}"),
    ("1st up s", "first_up_seconds", lambda mean: f"{mean:.1f}"),
    ("cap s", "cap_seconds", lambda mean: f"{mean:.1f}"),
)
LEGEND = (
    "within: share of tasks that began within the objective; cost: pod-seconds for a second of work; killed: busy\n"
    "pods; twice: tasks delivered again; starts: pods; writes: of replicas; 1st up, cap: after the first arrival"
)


def comparison_table(averages: Mapping[str, Averages], *, marked: str | None = None) -> str:
    """Lay out a row for each policy; the marked one is the best KEDA."""
    rows = [
        [f"{name} *" if name == marked else name, *(_cell(means[field], form) for _, field, form in COLUMNS)]
        for name, means in averages.items()
    ]
    return columns([["policy", *(title for title, _, _ in COLUMNS)], *rows])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Align cells: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _cell(mean: float | None, form: object) -> str:
    return form(mean) if mean is not None and callable(form) else "-"
