"""A picture of what policies did over time: wait, replicas, backlog."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.play import Moment
from millrace_loadtest.simulator.scenario import Scenario

COLOURS: Final = {"millrace": "#0b6e4f", "oracle": "#8d8da8"}
OTHERS: Final = ("#d1603d", "#2a6fbb", "#b5892d")
MOST_POINTS: Final = 1500
Film = Sequence[Moment]


def draw_picture(path: Path, scenario: Scenario, films: Mapping[str, Film]) -> None:
    """Draw three panels with a line for each policy."""
    if path.suffix not in {".png", ".svg"}:
        raise InputError(f"{path} must end with .png or .svg")
    # Without pyplot, which would choose a window system and load more than twice as long.
    figure = Figure(figsize=(10, 8.5), layout="constrained")
    wait, replicas, backlog = figure.subplots(3, 1, sharex=True)
    others = cycle(OTHERS)
    for name, film in films.items():
        colour = COLOURS.get(name) or next(others)
        shown = film[:: max(1, len(film) // MOST_POINTS)]
        minutes = [moment.at / 60 for moment in shown]
        wait.plot(minutes, [moment.wait_seconds for moment in shown], color=colour, linewidth=1.4, label=name)
        replicas.step(
            minutes, [moment.asked for moment in shown], where="post", color=colour, linewidth=1.4, label=name
        )
        replicas.plot(minutes, [moment.serving for moment in shown], color=colour, linewidth=0.9, linestyle=":")
        backlog.plot(minutes, [moment.waiting for moment in shown], color=colour, linewidth=1.4, label=name)
    wait.axhline(scenario.goal.wait_seconds, color="black", linewidth=1, linestyle="--", label="objective")
    wait.set_ylabel("wait of the\noldest task (s)")
    replicas.set_ylabel("replicas\n(dotted: serving)")
    backlog.set_ylabel("waiting tasks")
    backlog.set_xlabel("time (min)")
    for panel in (wait, replicas, backlog):
        panel.grid(alpha=0.3)
        panel.set_ylim(bottom=0)
        panel.margins(x=0.01)
    wait.legend(ncols=len(films) + 1, loc="upper right", framealpha=0.9)
    figure.suptitle(f"{scenario.name}: {scenario.title}", fontsize=11, wrap=True)
    figure.savefig(path, dpi=130)
