"""How far a long computation is, on stderr."""

import sys
from collections.abc import Callable

Progress = Callable[[int, int], None]


def show_progress(name: str) -> Progress:
    """Return a function that is told how many of how many are done."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{name}: {done}/{total} runs", end=end, file=sys.stderr, flush=True)  # noqa: T201 - a progress line
        elif done == total:
            print(f"{name}: {total} runs done", file=sys.stderr, flush=True)  # noqa: T201 - where no line can move

    return show
