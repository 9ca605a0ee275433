"""NVIDIA Triton over gRPC, behind the port of `inference.model`; the only module that knows tritonclient.

A client must never exist in a process that forks afterwards: its channels hang or crash in the children. So it is made
on first use, and again in a process that was forked from one that had it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Never

import grpc
from tritonclient.grpc import InferenceServerClient, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from millrace_contracts.predictions import Parameters
from millrace_worker.errors import (
    BatchFailed,
    BatchRejected,
    ModelMissing,
    ModelUnsuitable,
    TritonTooSlow,
    TritonUnavailable,
    WorkerError,
)
from millrace_worker.inference import wire
from millrace_worker.inference.model import Answer, Array, ModelSignature, TensorSpec
from millrace_worker.inference.retry_policy import Verdict, judge, status_name

_CHANNEL: Final = [
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # gRPC would wait up to two minutes before it looks for a Triton that has been restarted.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Spreads requests over all replicas when the address is a headless Service.
    ("grpc.lb_policy_name", "round_robin"),
]


class TritonClient:
    """The models of one Triton address. Thread-safe, as the gRPC client's unary calls are."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None
        self._calls: Any = None
        self._pid = -1

    def describe(self, name: str, version: str, *, timeout_seconds: float) -> ModelSignature:
        """Describe the model, or raise ModelMissing, ModelUnsuitable or TritonUnavailable."""
        client = self._connected()
        try:
            metadata = client.get_model_metadata(name, version, as_json=True, client_timeout=timeout_seconds)
            answer = client.get_model_config(name, version, as_json=True, client_timeout=timeout_seconds)
        except InferenceServerException as error:
            try:
                self._raise_translated(error, name, version)
            except (BatchRejected, BatchFailed) as refusal:
                raise ModelUnsuitable(f"Triton does not describe model {_label(name, version)}: {refusal}") from error
        return _signature(name, version, metadata=metadata, config=answer["config"])

    def infer(
        self,
        signature: ModelSignature,
        inputs: Mapping[str, Array],
        *,
        timeout_seconds: float,
        parameters: Parameters | None = None,
        outputs: Sequence[str] = (),
    ) -> Answer:
        """Compute one request, or raise a BatchError, JobImpossible or TritonUnavailable."""
        name, version = signature.name, signature.requested_version
        try:
            request = wire.request_of(signature, inputs, parameters=parameters, outputs=outputs)
        except (TypeError, ValueError) as error:
            # Protobuf refuses what does not fit its field, such as a parameter beyond 64 bits.
            raise BatchRejected(f"the request cannot be sent: {error}", status="INVALID_ARGUMENT") from error
        self._connected()
        try:
            response = self._calls.ModelInfer(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            self._raise_translated(error, name, version)
        try:
            return Answer(wire.outputs_of(response), str(response.model_version))
        except (KeyError, ValueError) as error:
            raise BatchFailed(f"Triton's answer cannot be read: {error}", status="INTERNAL") from error

    def _connected(self) -> Any:
        if self._pid != os.getpid():
            self._client = InferenceServerClient(self._url, channel_args=_CHANNEL)
            self._calls = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(self._url, options=_CHANNEL))
            # Last: other threads take it as the sign that both are there.
            self._pid = os.getpid()
        return self._client

    def _raise_translated(self, error: InferenceServerException | grpc.RpcError, name: str, version: str) -> Never:
        if isinstance(error, InferenceServerException):
            status, message = status_name(error.status()), str(error.message())
        else:
            # Every RpcError that a call raises is a Call too, which has these.
            status, message = error.code().name, str(error.details())
        verdict = judge(status, message)
        if verdict is Verdict.MISSING:
            raise self._absence(name, version, message) from error
        if verdict is Verdict.REJECTED:
            raise BatchRejected(message, status=status) from error
        if verdict is Verdict.FAILED:
            raise BatchFailed(message, status=status) from error
        raise _MEANING[verdict](
            _SENTENCES[verdict].format(url=self._url, model=_label(name, version), said=message)
        ) from error

    def _absence(self, name: str, version: str, message: str) -> WorkerError:
        """Say whether the model is not there, or only not now: Triton also denies models while it starts or stops."""
        try:
            client = self._connected()
            is_ready = client.is_server_ready(client_timeout=5)
            index = client.get_model_repository_index(as_json=True, client_timeout=5).get("models", [])
        except InferenceServerException:
            is_ready, index = False, []
        own = [model for model in index if model["name"] == name and version in {"", model.get("version", "")}]
        if not is_ready or any(model.get("state") in {"READY", "LOADING", "UNLOADING"} for model in own):
            return TritonUnavailable(f"Triton at {self._url} is starting or stopping: {message}")
        for model in own:
            if model.get("reason") and model["reason"] != "unloaded":
                return ModelMissing(f"Triton could not load model {_label(name, version)}: {model['reason']}")
        served = [_served(model) for model in index if model.get("state") == "READY"]
        return ModelMissing(
            f"Triton at {self._url} has no model {_label(name, version)}; "
            f"it has {', '.join(sorted(served)) or 'none'}. "
            "Set spec.model to one of these, or add the model to the pool's model repository"
        )


_MEANING: Final[Mapping[Verdict, type[WorkerError]]] = {
    Verdict.WAIT: TritonUnavailable,
    Verdict.TOO_SLOW: TritonTooSlow,
    Verdict.INCOMPATIBLE: ModelUnsuitable,
}
_SENTENCES: Final[Mapping[Verdict, str]] = {
    Verdict.WAIT: "Triton at {url} is not available: {said}",
    Verdict.TOO_SLOW: "Triton at {url} does not answer model {model} within requestTimeoutSeconds",
    Verdict.INCOMPATIBLE: "model {model} cannot answer single requests: {said}",
}


def _signature(name: str, version: str, *, metadata: Mapping[str, Any], config: Mapping[str, Any]) -> ModelSignature:
    if config.get("model_transaction_policy", {}).get("decoupled"):
        raise ModelUnsuitable(
            f"model {_label(name, version)} is decoupled: it may give many answers to a record, or none"
        )
    if "sequence_batching" in config:
        raise ModelUnsuitable(f"model {_label(name, version)} needs sequences, and records of a job are independent")
    max_batch_size = int(config.get("max_batch_size", 0))
    optional = {entry["name"] for entry in config.get("input", []) if entry.get("optional")}

    def specs(entries: Iterable[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                name=entry["name"],
                datatype=entry["datatype"],
                # Protobuf writes 64-bit integers as text in JSON.
                dims=tuple(int(size) for size in entry.get("shape", []))[1 if max_batch_size > 0 else 0 :],
                optional=entry["name"] in optional,
            )
            for entry in entries
        )

    return ModelSignature(
        name=name,
        requested_version=version,
        max_batch_size=max_batch_size,
        inputs=specs(metadata.get("inputs", [])),
        outputs=specs(metadata.get("outputs", [])),
        versions=tuple(metadata.get("versions", [])),
        platform=str(metadata.get("platform", "")),
    )


def _label(name: str, version: str) -> str:
    return f'"{name}" version {version}' if version else f'"{name}"'


def _served(model: Mapping[str, Any]) -> str:
    return f"{model['name']} version {model['version']}" if model.get("version") else str(model["name"])
