"""A progress bar of a job, from its status; the numbers are the operator's, so all who look see the same."""

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from millrace.cli.job_view import PLURAL, job_view
from millrace.cli.output import Printer
from millrace.errors import Unavailable

if TYPE_CHECKING:
    from millrace.cli.kubernetes_api import Cluster

POLL_SECONDS: Final = 1.0
"""The operator writes counts every few seconds and ends at once."""
PATIENCE_SECONDS: Final = 60.0
"""An API server that is away so long is told to the user; the job does not depend on it."""


def follow(cluster: "Cluster", name: str, *, printer: Printer, timeout_seconds: float | None) -> dict[str, Any]:
    """Show how a job gets on until it has ended or time is up, and answer what is known of it then."""
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    with _bar(printer) as progress:
        task = progress.add_task(name, total=None, state="", rate="", eta="", failed="")
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
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[eta]}"),
        TextColumn("[red]{task.fields[failed]}[/red]"),
        console=printer.err,
        # A log or a pipe gets no bar, only what stands there at the end.
        disable=not printer.err.is_terminal,
    )


def _update(progress: Progress, task: TaskID, view: dict[str, Any]) -> None:
    records = view["records"]
    done = (records["succeeded"] or 0) + (records["failed"] or 0)
    progress.update(
        task,
        total=records["total"],
        completed=done,
        state=view["state"],
        rate=view["throughput"] or "",
        eta=f"{view['eta']} left" if view["eta"] and not view["finished"] else "",
        failed=f"{records['failed']} failed" if records["failed"] else "",
    )


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
