"""The registry of models in Redis: which version serves, and what became of each version that a pipeline made.

A publication writes it last: after the new version answers on every Triton. Whoever caches by version reads `serving`
anew for each look-up.
"""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

HISTORY_LENGTH: Final = 50
"""Versions of a model that are remembered; the oldest that does not serve is forgotten first."""


class VersionState(StrEnum):
    """What became of a version."""

    PUBLISHING = "Publishing"
    SERVING = "Serving"
    SUPERSEDED = "Superseded"
    """Served, until a later version did."""
    REFUSED = "Refused"
    """Evaluated worse than the version that serves; never loaded."""
    ROLLED_BACK = "RolledBack"
    """A Triton could not load it; the version before it serves."""
    FAILED = "Failed"
    """A step of its pipeline failed before there was anything to publish."""


class ModelVersion(BaseModel):
    """One version of one model: field `version` of the hash under `versions_key`, and the object ModelVersion."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    """The version folder of the model repository; "run-<id>" for a run that never got one."""
    state: VersionState
    pipeline: str = ""
    run_id: str = ""
    metric: str = ""
    """The one of `metrics` that decides."""
    metrics: dict[str, float] = Field(default_factory=dict)
    """What `evaluate` measured for this version."""
    baseline: dict[str, float] = Field(default_factory=dict)
    """The same for the version that served at that time; empty where none did."""
    message: str = ""
    """A sentence for people: why it is in this state."""
    created_at: float
    """Seconds since the epoch."""
    changed_at: float


MODELS_KEY: Final = "millrace:models"
"""Redis set of the names of all models in the registry."""


def serving_key(model: str) -> str:
    """Redis string: the version that serves; absent until a pipeline has published one."""
    return f"millrace:model:{{{model}}}:serving"


def versions_key(model: str) -> str:
    """Redis hash: version -> ModelVersion as JSON."""
    return f"millrace:model:{{{model}}}:versions"


class TensorDescription(BaseModel):
    """One input or output as Triton's metadata describes it; of a model that batches, the first axis is the batch."""

    model_config = ConfigDict(frozen=True)

    name: str
    datatype: str
    shape: list[int]


class ModelDescription(BaseModel):
    """What Triton says of a model, as the worker that asked it first wrote it down for those that never see Triton."""

    model_config = ConfigDict(frozen=True)

    name: str
    platform: str = ""
    versions: list[str] = Field(default_factory=list)
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]
    optional_inputs: list[str] = Field(default_factory=list)
    max_batch_size: int = 0
    """0: a request is one record, and its tensors have no batch axis."""


def signature_key(model: str) -> str:
    """Redis string: the ModelDescription as JSON; absent until a worker has asked Triton."""
    return f"millrace:model:{{{model}}}:signature"
