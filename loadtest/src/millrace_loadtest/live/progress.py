"""Tell how far a benchmark is."""

import sys


def say(text: str) -> None:
    """Write a line of progress, at once and apart from the report."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress for the terminal
