"""What the worker needs to know of a model, and the port through which it is asked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input of a model: its name, Triton datatype, and shape for one record (-1 is any length)."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSignature:
    """A model as it was described by Triton just now."""

    name: str
    requested_version: str
    inputs: tuple[TensorSpec, ...]
    max_batch_size: int
    """0: a request is one record and its tensors have no batch axis."""

    @property
    def batches(self) -> bool:
        """Whether the first axis of every tensor is the batch."""
        return self.max_batch_size > 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs of one request, with the model version that computed them."""

    outputs: Mapping[str, Array]
    model_version: str


class ModelClient(Protocol):
    """Where models are served. Methods may be called from several threads."""

    def describe(self, name: str, version: str, *, timeout_seconds: float) -> ModelSignature:
        """Describe the model, or raise ModelMissing, ModelUnsuitable or TritonUnavailable."""

    def infer(self, signature: ModelSignature, inputs: Mapping[str, Array], *, timeout_seconds: float) -> Answer:
        """Compute one request, or raise a BatchError, JobImpossible or TritonUnavailable."""


NUMPY_TYPES: Mapping[str, type[np.generic]] = {
    "BOOL": np.bool_,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": np.float32,
    "BYTES": np.object_,
}
"""Triton datatypes and how numpy holds them; numpy has no BF16, the client narrows it."""
