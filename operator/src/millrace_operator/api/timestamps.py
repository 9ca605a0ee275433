"""Turn seconds since the epoch into the times that Kubernetes objects carry, and back. The clock is read elsewhere."""

from datetime import UTC, datetime


def to_rfc3339(seconds: float) -> str:
    """Write a moment as Kubernetes does: UTC, whole seconds, with a Z."""
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_epoch_seconds(text: str) -> float:
    """Read a time that an object carries; fractions of a second are kept."""
    return datetime.fromisoformat(text).timestamp()
