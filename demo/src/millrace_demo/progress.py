"""Show a job while it runs: a moving bar for a person, a line at each change for a log."""

from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from millrace_demo.job_view import JobView
from millrace_demo.pool_history import PoolSample

QUIET_SECONDS: Final = 20.0


class ProgressDisplay(Protocol):
    """Shows a job and its pool while its context is open."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""

    def show(self, *, job: JobView, pool: PoolSample, seconds: float) -> None:
        """Show how things are `seconds` after the job was applied."""


class PlainLines:
    """Writes a line whenever something changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = ""
        self._last_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, *, job: JobView, pool: PoolSample, seconds: float) -> None:
        """Write one line; while nothing changes, say every so often what the job waits for."""
        line = f"{job.state:<18} {records_in_words(job):<24} {pods_in_words(pool):<9} {pace_in_words(job)}".rstrip()
        is_quiet = line == self._last
        if is_quiet and seconds - self._last_at < QUIET_SECONDS:
            return
        self._console.print(f"  {seconds:6.1f} s  {job.activity if is_quiet else line}", soft_wrap=True)
        self._last, self._last_at = line, seconds


class MovingBar:
    """Draws a bar that fills."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("  [bold]{task.description:<10}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[records]}  {task.fields[pods]}  {task.fields[pace]}"),
            console=console,
        )
        self._task = self._bar.add_task("Pending", total=None, records="", pods="", pace="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, *, job: JobView, pool: PoolSample, seconds: float) -> None:
        """Redraw the bar; a person sees the seconds pass, so they are not told."""
        del seconds
        self._bar.update(
            self._task,
            description=job.state,
            total=job.total,
            completed=job.done,
            records=records_in_words(job),
            pods=pods_in_words(pool),
            pace=pace_in_words(job),
        )


def display_for(console: Console) -> ProgressDisplay:
    """Choose by what the console is."""
    return MovingBar(console) if console.is_terminal else PlainLines(console)


def records_in_words(job: JobView) -> str:
    """Say "256/540 records, 1 failed"; before the input was read the total is "?"."""
    failed = f", {job.failed} failed" if job.failed else ""
    return f"{job.done}/{'?' if job.total is None else job.total} records{failed}"


def pods_in_words(pool: PoolSample) -> str:
    """Say how many pods are ready of those that are wanted: "1/4 pods"; nothing before the pool was seen."""
    if pool.pods is None:
        return ""
    wished = max(pool.desired or 0, pool.pods)
    return f"{pool.ready}/{wished} pods"


def pace_in_words(job: JobView) -> str:
    """Say "1,180/s, 1s left", as far as it is known."""
    return ", ".join(filter(None, (job.throughput, f"{job.eta} left" if job.eta else "")))
