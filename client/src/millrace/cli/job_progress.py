"""A progress bar of a job, from its status; the numbers are the operator's, so all who look see the same."""

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from millrace.cli.job_view import PLURAL, job_view
from millrace.cli.output import Printer
from millrace.errors import Unavailable

if TYPE_CHECKING:
    from millrace.cli.kubernetes_api import Cluster

POLL_SECONDS: Final = 1.0
"""The operator writes counts every few seconds and ends at once."""
PATIENCE_SECONDS: Final = 60.0
"""An API server that is away so long is told to the user; the job does not depend on it."""
# Fields of the bar are keywords of `add_task` and `update` too, whose own are of other types.
NOTHING: Final[dict[str, Any]] = dict.fromkeys(("state", "percent", "records", "failed", "cached", "rate", "eta"), "")


def follow(cluster: "Cluster", name: str, *, printer: Printer, timeout_seconds: float | None) -> dict[str, Any]:
    """Show how a job gets on until it has ended or time is up, and answer what is known of it then."""
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    with _bar(printer) as progress:
        task = progress.add_task(name, total=None, **NOTHING)
        while True:
            view = _read(cluster, name)
            _update(progress, task, view)
            left = POLL_SECONDS if deadline is None else min(POLL_SECONDS, deadline - time.monotonic())
            if view["finished"] or left <= 0:
                return view
            threading.Event().wait(left)


def _bar(printer: Printer) -> Progress:
    return Progress(
        SpinnerColumn(finished_text=" "),
        TextColumn("[bold]{task.description}[/bold]"),
        TextColumn("{task.fields[state]}"),
        BarColumn(),
        TextColumn("{task.fields[percent]}"),
        TextColumn("{task.fields[records]}"),
        TextColumn("[red]{task.fields[failed]}[/red]"),
        TextColumn("[cyan]{task.fields[cached]}[/cyan]"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[eta]}"),
        console=printer.err,
        # A log or a pipe gets no bar, only what stands there at the end.
        disable=not printer.err.is_terminal,
    )


def _update(progress: Progress, task: TaskID, view: dict[str, Any]) -> None:
    records = view["records"]
    progress.update(task, total=records["total"], completed=_done(records), **in_words(view))


def in_words(view: dict[str, Any]) -> dict[str, Any]:
    """Say what stands beside the bar; what is not known, or is nothing, is empty."""
    records, total = view["records"], view["records"]["total"]
    return {
        "state": view["state"],
        "percent": f"{100 * _done(records) // total}%" if total else "",
        "records": f"{_done(records):,}/{'?' if total is None else f'{total:,}'}",
        "failed": f"{records['failed']:,} failed" if records["failed"] else "",
        "cached": f"{records['cached']:,} cached" if records["cached"] else "",
        "rate": view["throughput"] or "",
        "eta": f"{view['eta']} left" if view["eta"] and not view["finished"] else "",
    }


def _done(records: dict[str, Any]) -> int:
    return (records["succeeded"] or 0) + (records["failed"] or 0)


def _read(cluster: "Cluster", name: str) -> dict[str, Any]:
    """Read the job; an API server that is away for a moment is waited for."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return job_view(cluster.get(PLURAL, name))
        except Unavailable:
            if time.monotonic() > give_up_at:
                raise
            threading.Event().wait(POLL_SECONDS)
