"""The only place where the worker reads the wall clock; everything else is given the time."""

import time
from datetime import UTC, datetime


def seconds_since_epoch() -> float:
    """Answer the time as the ledger keeps it."""
    return time.time()  # noqa: TID251 - this is the edge


def rfc3339(seconds: float) -> str:
    """Write a time the way Kubernetes does."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
