"""How fast tasks arrive and how long they take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """Measured rates of a pool. None is "not yet measured"."""

    arrivals_per_second: float | None = None
    service_seconds: float | None = None
