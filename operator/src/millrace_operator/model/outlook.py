"""What is known of the future: tasks that will arrive at a known time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Tasks that come due together."""

    at: float
    """Seconds since the epoch."""
    tasks: int = 1
    source: str
    """Where it is known from, for people and for what is learned of it: "Beat entry nightly-scoring", "ETA tasks"."""


Outlook = tuple[Due, ...]
"""In order of time. Empty: nothing is known, which is not that nothing will come."""
