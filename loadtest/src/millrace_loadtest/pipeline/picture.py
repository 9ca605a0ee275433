"""Draw how often users choose what was recommended, version after version."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from millrace_loadtest.live.picture import COLOURS, INK, STYLE

DOTS: Final = 150
FEW_EVENTS: Final = 200
"""In one slot: a rate of fewer is mostly chance, and comes from users who kept an old version's recommendations."""
POPULARITY: Final = "popularity"
"""What recommends before the first model."""


def draw(course: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the picture; `course` is slots of `at_seconds`, `version`, `events` and `hits`."""
    slots = [slot for slot in course if slot["events"] >= FEW_EVENTS]
    with rc_context(STYLE):
        figure = Figure(figsize=(9.0, 4.2), layout="constrained")
        axes = figure.subplots()
        by_version = sorted(slots, key=lambda slot: (slot["version"] != POPULARITY, slot["version"].zfill(9)))
        for i, (version, group) in enumerate(groupby(by_version, key=lambda slot: slot["version"])):
            own = list(group)
            # The slot in which the first event came began before it.
            times = [max(slot["at_seconds"], 0.0) / 60 for slot in own]
            rates = [slot["hits"] / slot["events"] for slot in own]
            colour = INK if version == POPULARITY else COLOURS[i % len(COLOURS)]
            axes.plot(times, rates, color=colour, linewidth=2.2, marker="o", markersize=3.5)
            name = "what is popular" if version == POPULARITY else f"version {version}"
            # Each line falls from its label but the first, which rises.
            below = version == POPULARITY
            axes.annotate(
                name, (times[0], rates[0]), (4, -20 if below else 10), textcoords="offset points", color=colour
            )
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.margins(y=0.15)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.set_ylabel("events whose item\nhad been recommended")
        axes.set_xlabel("minutes")
        figure.suptitle("Tastes drift; each retraining finds them again", x=0.01, ha="left", fontweight="bold")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=DOTS)
