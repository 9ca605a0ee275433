"""Show what came of the job: predictions, their accuracy, and how the pool scaled."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace_demo.drawing import ASCII, BLOCKS, WIDTH, beside, draw_scan
from millrace_demo.held_out import HeldOut
from millrace_demo.pool_history import PoolSample
from millrace_demo.predictions import Comparison, Prediction

DRAWINGS_A_ROW: Final = 4
PREDICTIONS_SHOWN: Final = 5


def show_predictions(console: Console, predictions: Sequence[Prediction], labels: Mapping[str, int]) -> None:
    """Print the first predictions as a table."""
    table = Table(title=f"The first {PREDICTIONS_SHOWN} of {len(predictions)} predictions", title_justify="left")
    table.add_column("scan")
    for heading in ("predicted", "sure", "true label"):
        table.add_column(heading, justify="right")
    for prediction in predictions[:PREDICTIONS_SHOWN]:
        table.add_row(
            prediction.key, str(prediction.label), f"{prediction.confidence:.1%}", str(labels[prediction.key])
        )
    console.print(table)


def show_scans(console: Console, title: str, predictions: Sequence[Prediction], held_out: HeldOut) -> None:
    """Draw up to four scans beside each other, with what the model says and what the label says; nothing for none."""
    shown = predictions[:DRAWINGS_A_ROW]
    if not shown:
        return
    shades = BLOCKS if console.encoding.startswith("utf") else ASCII
    drawings = [
        [
            *draw_scan(held_out.pixels[prediction.key], shades),
            prediction.key.center(WIDTH),
            f"predicted {prediction.label}".center(WIDTH),
            f"true label {held_out.labels[prediction.key]}".center(WIDTH),
        ]
        for prediction in shown
    ]
    console.print(f"\n{title}\n", style="italic")
    for line in beside(drawings):
        console.print(Text(f"  {line}"))
    console.print()


def show_accuracy(console: Console, comparison: Comparison, labels: Mapping[str, int]) -> None:
    """Print how many scans of each digit were read right, and what the others were taken for."""
    scans = Counter(labels.values())
    taken_for: dict[int, list[int]] = {digit: [] for digit in scans}
    for prediction in comparison.wrong:
        taken_for[labels[prediction.key]].append(prediction.label)
    missing = Counter(labels[key] for key in comparison.missing)
    table = Table(title="By digit", title_justify="left")
    for heading in ("digit", "scans", "right"):
        table.add_column(heading, justify="right")
    table.add_column("others were taken for")
    for digit in sorted(scans):
        right = scans[digit] - len(taken_for[digit]) - missing[digit]
        others = ", ".join(str(label) for label in sorted(taken_for[digit]))
        table.add_row(str(digit), str(scans[digit]), str(right), others)
    console.print(table)
    console.print(
        f"  accuracy {comparison.accuracy:.2%}: {comparison.right} of {comparison.total} held-out scans", style="bold"
    )


def show_pool_history(console: Console, rows: Sequence[PoolSample]) -> None:
    """Print the pool's size at each change, with a bar: full for ready pods, light for those that start."""
    ready_mark, starting_mark = ("█", "░") if console.encoding.startswith("utf") else ("#", ".")
    table = Table(title="How the pool scaled (t = 0: the job was applied)", title_justify="left")
    for heading in ("t", "waiting", "running", "desired", "pods", "ready"):
        table.add_column(heading, justify="right")
    table.add_column("")
    table.add_column("reason")
    for row in rows:
        ready, starting = row.ready or 0, max((row.pods or 0) - (row.ready or 0), 0)
        counts = (row.waiting, row.running, row.desired, row.pods, row.ready)
        table.add_row(
            f"{row.seconds:.1f} s",
            *("?" if count is None else str(count) for count in counts),
            ready_mark * ready + starting_mark * starting,
            row.reason,
        )
    console.print(table)
