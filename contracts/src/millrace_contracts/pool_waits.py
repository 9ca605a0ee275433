"""What the operator expects a new task to wait, for those who may refuse work: one Redis hash for all pools."""

from typing import Final

from pydantic import BaseModel, ConfigDict

WAITS_KEY: Final = "millrace:pools:waits"
"""Redis hash: queue -> PoolWait as JSON."""

STALE_AFTER_SECONDS: Final = 15.0
"""An older reading says nothing about now: unknown, and unknown refuses nobody."""


class PoolWait(BaseModel):
    """The wait that the newest task of a queue will have, with the pods that are there or starting."""

    model_config = ConfigDict(frozen=True)

    pool: str
    wait_seconds: float | None
    """None where it is not known."""
    objective_seconds: float
    read_at: float
    """Seconds since the epoch."""
