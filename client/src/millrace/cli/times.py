"""Times as people read them."""

from datetime import UTC, datetime

_UNITS = ((86_400, "d"), (3600, "h"), (60, "m"))


def now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)  # noqa: TID251 - this is the edge


def age(timestamp: str | None, *, at: datetime) -> str:
    """Say how long ago an RFC 3339 time was; empty where it is not known."""
    if not timestamp:
        return ""
    return span((at - datetime.fromisoformat(timestamp)).total_seconds())


def moment(seconds: float | None) -> str:
    """Write a time in seconds since the epoch; empty where it is not known."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """Write a length of time with its one or two largest units."""
    whole = max(0, round(seconds))
    for size, unit in _UNITS:
        if whole >= 2 * size:
            return f"{whole // size}{unit}"
    return f"{whole}s"
