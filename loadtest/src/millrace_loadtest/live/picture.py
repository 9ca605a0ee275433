"""Draw scalers under the same load: replicas, what waits, and how long the tasks waited."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from millrace_loadtest.live.recording import Recording, first_at_least

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#1f2430"
GRID: Final = "#d9dde5"
COLOURS: Final = ("#0b6e4f", "#c8553d", "#7a6ff0")
"""Dark green, brick, violet: also apart for people who do not tell red from green, by lightness."""
WIDTH_INCHES: Final = 9.0
HEIGHT_INCHES: Final = 9.0
DOTS: Final = 150
STYLE: Final[dict[Any, Any]] = {
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
}


def draw(
    recordings: Sequence[Recording],
    titles: Mapping[str, str],
    *,
    heading: str,
    path: Path,
    cap: int,
    objective_seconds: float,
) -> None:
    """Write the picture of all runs of one load."""
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        replicas, backlog, waits = figure.subplots(3, 1, height_ratios=(1.5, 1, 1))
        backlog.sharex(replicas)
        for recording, colour in zip(recordings, COLOURS, strict=False):
            _replicas(replicas, recording, _label(recording, titles[recording.scaler], cap), colour)
            _backlog(backlog, recording, colour)
            _waits(waits, recording, colour)
        figure.suptitle(heading, x=0.01, ha="left", fontsize=14, fontweight="bold")
        figure.legend(loc="outside lower center", ncols=1, frameon=False)
        replicas.axhline(cap, color=INK, linewidth=0.8, linestyle=":")
        replicas.set_ylabel("replicas\n(dashed: ready)")
        replicas.yaxis.set_major_locator(MaxNLocator(integer=True))
        backlog.set_ylabel("tasks that wait")
        backlog.set_xlabel("seconds after the first publish")
        backlog.set_xlim(left=-2, right=max(_busy_until(each) for each in recordings) + 5)
        waits.axvline(objective_seconds, color=INK, linewidth=0.8, linestyle=":")
        waits.set_ylabel("% of tasks started")
        waits.set_xlabel(f"seconds after its own publish (dotted: {objective_seconds:g} s)")
        waits.set_xlim(left=0)
        for axes in (replicas, backlog, waits):
            axes.set_ylim(bottom=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DOTS)


def _label(recording: Recording, title: str, cap: int) -> str:
    asked = first_at_least(recording.replicas, cap)
    return title if asked is None else f"{title}: {cap} replicas asked for after {asked:.1f} s"


def _replicas(axes: "Axes", recording: Recording, label: str, colour: str) -> None:
    times = [each.at for each in recording.replicas] + [recording.ended_at]
    asked = [each.asked for each in recording.replicas]
    ready = [each.ready for each in recording.replicas]
    axes.step(times, [*asked, asked[-1]], where="post", color=colour, linewidth=2.2, label=label)
    axes.step(times, [*ready, ready[-1]], where="post", color=colour, linewidth=1.3, linestyle="--")


def _backlog(axes: "Axes", recording: Recording, colour: str) -> None:
    """Go on at the last value until the end of the run: sampling stops when every task is done."""
    times = [at for at, _ in recording.backlog] + [recording.ended_at]
    ready = [count for _, count in recording.backlog]
    axes.plot(times, [*ready, ready[-1]], color=colour, linewidth=1.8)


def _waits(axes: "Axes", recording: Recording, colour: str) -> None:
    waits = sorted(task.wait for task in recording.tasks if task.wait is not None)
    shares = [100 * (number + 1) / len(recording.tasks) for number in range(len(waits))]
    axes.step([0.0, *waits], [0.0, *shares], where="post", color=colour, linewidth=1.8)


def _busy_until(recording: Recording) -> float:
    """Answer when the pool was back at nothing, or the run ended."""
    return min(recording.ended_at, recording.replicas[-1].at) if recording.replicas else recording.ended_at
