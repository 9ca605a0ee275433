"""Draw scalers under the same load: replicas, what waits, and how long each task waited."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure

from millrace_loadtest.live.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#1f2430"
GRID: Final = "#d9dde5"
COLOURS: Final = ("#0b6e4f", "#c8553d", "#7a6ff0")
"""Dark green, brick, violet: also apart for people who do not tell red from green, by lightness."""
WIDTH_INCHES: Final = 9.0
HEIGHT_INCHES: Final = 8.2
DOTS: Final = 150
STYLE: Final[dict[Any, Any]] = {
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
}


def draw(recordings: Sequence[Recording], titles: Mapping[str, str], *, heading: str, path: Path, cap: int) -> None:
    """Write the picture of all runs of one load."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        replicas, backlog, waits = figure.subplots(3, 1, sharex=True, height_ratios=(1.5, 1, 1))
        for recording, colour in zip(recordings, COLOURS, strict=False):
            _replicas(replicas, recording, titles[recording.scaler], colour)
            backlog.plot(*zip(*_until(recording.backlog, recording), strict=True), color=colour, linewidth=1.8)
            waits.scatter(*_waits(recording), color=colour, s=9, linewidths=0)
        replicas.axhline(cap, color=INK, linewidth=0.8, linestyle=":")
        replicas.set_ylabel("replicas")
        replicas.legend(loc="upper right", frameon=True, fontsize=10)
        replicas.set_title(heading, loc="left", fontsize=13, fontweight="bold")
        backlog.set_ylabel("tasks that wait")
        waits.set_ylabel("wait of a task, s")
        waits.set_xlabel("seconds after the first publish (waits: at the task's start)")
        waits.set_xlim(left=-2, right=max(_busy_until(each) for each in recordings) + 5)
        for axes in (replicas, backlog, waits):
            axes.set_ylim(bottom=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DOTS)


def _replicas(axes: "Axes", recording: Recording, title: str, colour: str) -> None:
    end = recording.ended_at
    times: list[Any] = [each.at for each in recording.replicas] + [end]
    asked = [each.asked for each in recording.replicas]
    ready = [each.ready for each in recording.replicas]
    axes.step(times, [*asked, asked[-1]], where="post", color=colour, linewidth=2.2, label=f"{title}: asked")
    axes.step(times, [*ready, ready[-1]], where="post", color=colour, linewidth=1.3, linestyle="--", label="ready")


def _until(points: Sequence[tuple[float, int]], recording: Recording) -> list[tuple[float, int]]:
    """Go on at the last value until the end of the run: sampling stops when every task is done."""
    return [*points, (recording.ended_at, points[-1][1])]


def _waits(recording: Recording) -> tuple[list[float], list[float]]:
    started = [(task.starts[0], task.wait) for task in recording.tasks if task.starts and task.wait is not None]
    return [at for at, _ in started], [wait for _, wait in started]


def _busy_until(recording: Recording) -> float:
    """Answer when the pool was back at nothing, or the run ended."""
    return min(recording.ended_at, recording.replicas[-1].at) if recording.replicas else recording.ended_at
