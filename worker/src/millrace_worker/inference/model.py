"""What the worker needs to know of a model, and the port through which it is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from millrace_contracts.models import ModelDescription, TensorDescription
from millrace_contracts.predictions import Parameters

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a model: its name, Triton datatype, and shape for one record (-1 is any length)."""

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
    outputs: tuple[TensorSpec, ...] = ()
    versions: tuple[str, ...] = ()
    """The versions that Triton had loaded at that time."""
    platform: str = ""

    @property
    def batches(self) -> bool:
        """Whether the first axis of every tensor is the batch."""
        return self.max_batch_size > 0

    def has_same_form(self, other: "ModelSignature") -> bool:
        """Say whether a record that was encoded for this one fits the other just as well."""
        return (self.inputs, self.max_batch_size) == (other.inputs, other.max_batch_size)

    def description(self) -> ModelDescription:
        """Answer what those need to know who never see Triton."""
        batch = [-1] if self.batches else []

        def described(specs: tuple[TensorSpec, ...]) -> list[TensorDescription]:
            return [
                TensorDescription(name=spec.name, datatype=spec.datatype, shape=[*batch, *spec.dims]) for spec in specs
            ]

        return ModelDescription(
            name=self.name,
            platform=self.platform,
            versions=list(self.versions),
            inputs=described(self.inputs),
            outputs=described(self.outputs),
            optional_inputs=[spec.name for spec in self.inputs if spec.optional],
            max_batch_size=self.max_batch_size,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The outputs of one request, with the model version that computed them."""

    outputs: Mapping[str, Array]
    model_version: str


class ModelClient(Protocol):
    """Where models are served. Methods may be called from several threads."""

    def describe(self, name: str, version: str, *, timeout_seconds: float) -> ModelSignature:
        """Describe the model, or raise ModelMissing, ModelUnsuitable or TritonUnavailable."""

    def infer(
        self,
        signature: ModelSignature,
        inputs: Mapping[str, Array],
        *,
        timeout_seconds: float,
        parameters: Parameters | None = None,
        outputs: Sequence[str] = (),
    ) -> Answer:
        """Compute all outputs or those that are named, or raise a BatchError, JobImpossible or TritonUnavailable."""


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
