"""The base of everything that crosses the broker."""

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """A payload carries all that its task needs, so a worker never asks the Kubernetes API.

    `extra="forbid"` makes a message from a newer version fail loudly (and reach the dead-letter queue) instead of being
    half understood.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
