"""Serves `<version>/model.onnx` as the backend `onnxruntime`, so that one model repository fits every Triton.

NVIDIA's image carries a C++ backend of this name; the server in the PyPI wheel carries only the Python backend. Triton
looks for `backends/<name>/model.py` when there is no `libtriton_<name>.so` ("Python-based backend"), and this file is
that. It runs on CPU.

Parameters it knows, with the names and the meaning of the C++ backend: `intra_op_thread_count` and
`inter_op_thread_count`. Both default to 1 here instead of "all cores": ONNX Runtime counts the cores of the node, not
the CPU limit of the container.
"""
# ruff: noqa: INP001 (Triton loads this file by its path; its folder is no package)

# Annotations stay text: the stub adds the request and response classes to its module only after it has loaded this one.
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Arrays = dict[str, np.ndarray]

DEFAULT_MAX_BATCH_SIZE = 4  # Triton's own default for a completed configuration

TRITON_TYPE_BY_ONNX_TYPE = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}


class _Refusal(Exception):  # noqa: N818 (it is an answer to one request, not a failure of the model)
    """Why a request cannot be run at all; the message goes to its sender."""


class TritonPythonModel:
    """One instance of one model version: a session that answers many requests with one run."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: pb.ModelConfig) -> pb.ModelConfig:
        """Fill in the inputs, outputs and batching that config.pbtxt leaves out, read from the ONNX file."""
        config = auto_complete_model_config.as_dict()
        if config["input"] and config["output"]:
            return auto_complete_model_config
        path = _model_file_of_this_process()
        if path is None:
            pb.Logger.log_warn(f"{_model(config)}: found no ONNX file to complete config.pbtxt from; write it in full")
            return auto_complete_model_config
        _complete(auto_complete_model_config, _open_session(path, config))
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the ONNX file of this version and refuse a config.pbtxt that does not fit it."""
        config = json.loads(args["model_config"])
        version = args["model_version"]
        path = Path(args["model_repository"]) / version / (config.get("default_model_filename") or "model.onnx")
        if not path.is_file():
            raise pb.TritonModelException(f"{_model(config)}: {path} is missing; put the ONNX file there")
        self._session = _open_session(path, config)
        self._batches = config["max_batch_size"] > 0
        self._inputs = [(entry["name"], entry["data_type"], bool(entry.get("optional"))) for entry in config["input"]]
        self._outputs = [entry["name"] for entry in config["output"]]
        _refuse_misfit("input", config, self._session.get_inputs())
        _refuse_misfit("output", config, self._session.get_outputs())
        pb.Logger.log_info(f"{_model(config)} version {version}: {path} on {self._session.get_providers()[0]}")

    def execute(self, requests: Sequence[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Answer all requests from one run; a request at fault gets its own error and its neighbours their answers."""
        readings = [self._read(request) for request in requests]
        answers = iter(self._answer([feed for feed in readings if isinstance(feed, dict)], self._wanted(requests)))
        return [next(answers) if isinstance(feed, dict) else _bad_input(feed) for feed in readings]

    def _read(self, request: pb.InferenceRequest) -> Arrays | _Refusal:
        try:
            feed = dict(self._given(request))
        except _Refusal as refusal:
            return refusal
        return feed or _Refusal(f"no input is given; the model knows {[name for name, _, _ in self._inputs]}")

    def _given(self, request: pb.InferenceRequest) -> Iterator[tuple[str, np.ndarray]]:
        for name, data_type, optional in self._inputs:
            tensor = pb.get_input_tensor_by_name(request, name)
            if tensor is not None:
                array = tensor.as_numpy()
                yield name, _decoded(name, array) if data_type == "TYPE_STRING" else array
            elif not optional:
                raise _Refusal(f"input '{name}' is missing")

    def _wanted(self, requests: Iterable[pb.InferenceRequest]) -> list[str]:
        asked = {name for request in requests for name in request.requested_output_names()}
        return [name for name in self._outputs if name in asked] or self._outputs

    def _answer(self, feeds: Sequence[Arrays], wanted: Sequence[str]) -> list[pb.InferenceResponse]:
        together = self._run_together(feeds, wanted) if self._batches else None
        return together or [self._run_alone(feed, wanted) for feed in feeds]

    def _run_together(self, feeds: Sequence[Arrays], wanted: Sequence[str]) -> list[pb.InferenceResponse] | None:
        """Run all feeds at once; None when only runs of their own can tell which feed is at fault."""
        if len({_signature(feed) for feed in feeds}) != 1:
            return None
        joined = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        try:
            outputs = self._session.run(wanted, joined)
        except Exception as error:  # noqa: BLE001 (ONNX Runtime's exceptions share no other base)
            pb.Logger.log_verbose(f"a batch of {len(feeds)} requests failed, running each alone: {error}")
            return None
        rows = [_rows(feed) for feed in feeds]
        if any(np.ndim(output) == 0 or len(output) != sum(rows) for output in outputs):
            return None
        ends = np.cumsum(rows)
        return [
            _response(wanted, [output[end - count : end] for output in outputs])
            for count, end in zip(rows, ends, strict=True)
        ]

    def _run_alone(self, feed: Arrays, wanted: Sequence[str]) -> pb.InferenceResponse:
        try:
            outputs = self._session.run(wanted, feed)
        except Exception as error:  # noqa: BLE001 (ONNX Runtime's exceptions share no other base)
            shapes = {name: list(array.shape) for name, array in feed.items()}
            return pb.InferenceResponse(error=pb.TritonError(f"ONNX Runtime refused inputs of shape {shapes}: {error}"))
        for name, output in zip(wanted, outputs, strict=True):
            if self._batches and (np.ndim(output) == 0 or len(output) != _rows(feed)):
                return pb.InferenceResponse(
                    error=pb.TritonError(
                        f"output '{name}' has shape {list(np.shape(output))} for a batch of {_rows(feed)}: "
                        "its first axis is not the batch; set max_batch_size: 0 or export the model with a batch axis"
                    )
                )
        return _response(wanted, outputs)


def _model(config: Mapping[str, Any]) -> str:
    return f"model '{config['name']}'"


def _open_session(path: Path, config: Mapping[str, Any]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = _thread_count(config, "intra_op_thread_count")
    options.inter_op_num_threads = _thread_count(config, "inter_op_thread_count")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise pb.TritonModelException(
            f"{_model(config)}: ONNX Runtime {ort.__version__} cannot load {path}: {error}"
        ) from error


def _thread_count(config: Mapping[str, Any], name: str) -> int:
    text = config.get("parameters", {}).get(name, {}).get("string_value", "1")
    if not text.isdecimal():
        raise pb.TritonModelException(
            f"{_model(config)}: parameter {name} is '{text}'; give a whole number, 0 means all cores"
        )
    return int(text)


def _refuse_misfit(kind: str, config: Mapping[str, Any], nodes: Iterable[ort.NodeArg]) -> None:
    """Say at load time what would otherwise fail in every request."""
    types = {node.name: node.type for node in nodes}
    for entry in config[kind]:
        name = entry["name"]
        if name not in types:
            raise pb.TritonModelException(
                f"{_model(config)}: config.pbtxt has the {kind} '{name}'; the ONNX file has {sorted(types)}"
            )
        triton_type = _triton_type(name, types[name])
        if triton_type != entry["data_type"]:
            raise pb.TritonModelException(
                f"{_model(config)}: {kind} '{name}' is {entry['data_type']} in config.pbtxt "
                f"and {triton_type} in the ONNX file; write {triton_type}"
            )


def _triton_type(name: str, onnx_type: str) -> str:
    try:
        return TRITON_TYPE_BY_ONNX_TYPE[onnx_type]
    except KeyError as error:
        raise pb.TritonModelException(
            f"'{name}' is {onnx_type}, which Triton cannot carry; "
            "export it as a plain tensor (skl2onnx: options={'zipmap': False})"
        ) from error


def _complete(config: pb.ModelConfig, session: ort.InferenceSession) -> None:
    known = config.as_dict()
    nodes = [*session.get_inputs(), *session.get_outputs()]
    # A free first axis everywhere is how exporters write "any batch size"; the C++ backend reads it the same way.
    if known["max_batch_size"] == 0 and all(node.shape and not isinstance(node.shape[0], int) for node in nodes):
        config.set_max_batch_size(DEFAULT_MAX_BATCH_SIZE)
        config.set_dynamic_batching()
    skipped_axes = 1 if config.as_dict()["max_batch_size"] > 0 else 0
    # A hand-written list is kept whole: the file may have more outputs than its author wants to serve.
    if not known["input"]:
        for node in session.get_inputs():
            config.add_input(_described(node, skipped_axes))
    if not known["output"]:
        for node in session.get_outputs():
            config.add_output(_described(node, skipped_axes))


def _described(node: ort.NodeArg, skipped_axes: int) -> dict[str, Any]:
    dims = [axis if isinstance(axis, int) else -1 for axis in node.shape[skipped_axes:]]
    if not dims:
        raise pb.TritonModelException(
            f"'{node.name}' is one number a row, which needs `dims: [ 1 ] reshape {{ shape: [ ] }}`; "
            "write the inputs and outputs in config.pbtxt"
        )
    return {"name": node.name, "data_type": _triton_type(node.name, node.type), "dims": dims}


def _model_file_of_this_process() -> Path | None:
    """The ONNX file, from the first argument of the stub process: Triton gives `auto_complete_config` no path."""
    arguments = Path("/proc/self/cmdline").read_text().split("\0")
    path = Path(arguments[1]) if len(arguments) > 1 else None
    return path if path is not None and path.is_file() else None


def _decoded(name: str, array: np.ndarray) -> np.ndarray:
    try:
        texts = [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in array.ravel()]
    except UnicodeDecodeError as error:
        raise _Refusal(f"input '{name}' is not UTF-8 text: {error}") from error
    return np.array(texts, dtype=np.object_).reshape(array.shape)


def _rows(feed: Arrays) -> int:
    return len(next(iter(feed.values())))


def _signature(feed: Arrays) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, array.shape[1:]) for name, array in feed.items())


def _response(names: Sequence[str], arrays: Sequence[np.ndarray]) -> pb.InferenceResponse:
    return pb.InferenceResponse(
        [pb.Tensor(name, np.ascontiguousarray(array)) for name, array in zip(names, arrays, strict=True)]
    )


def _bad_input(refusal: _Refusal) -> pb.InferenceResponse:
    return pb.InferenceResponse(error=pb.TritonError(str(refusal), pb.TritonError.INVALID_ARG))
