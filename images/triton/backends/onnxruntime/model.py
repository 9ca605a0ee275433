"""Serves `<version>/model.onnx` under the backend name `onnxruntime`, so that one model repository fits every Triton.

NVIDIA's image carries a C++ backend of this name; the server in the PyPI wheel carries only the Python backend. Triton looks for
`backends/<name>/model.py` when there is no `libtriton_<name>.so` ("Python-based backend"), and this file is that. It runs on CPU.

Parameters it knows, with the names and meaning of the C++ backend: `intra_op_thread_count`, `inter_op_thread_count`. Both default to 1
here instead of "all cores": ONNX Runtime counts the cores of the node, not the CPU limit of the container.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb

Arrays = dict[str, np.ndarray]

DEFAULT_MODEL_FILENAME = "model.onnx"

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
            pb.Logger.log_warn(f"model '{config['name']}': no ONNX file to complete config.pbtxt from; name inputs and outputs there")
            return auto_complete_model_config
        _complete(auto_complete_model_config, _open_session(path, config))
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the ONNX file of this version and refuse a config.pbtxt that does not fit it."""
        config = json.loads(args["model_config"])
        directory = Path(args["model_repository"]) / args["model_version"]
        path = directory / (config.get("default_model_filename") or DEFAULT_MODEL_FILENAME)
        if not path.is_file():
            raise pb.TritonModelException(f"model '{config['name']}': {path} is missing; put the ONNX file there")
        self._session = _open_session(path, config)
        self._batches = config["max_batch_size"] > 0
        self._inputs = [(i["name"], i["data_type"], bool(i.get("optional"))) for i in config["input"]]
        self._outputs = [o["name"] for o in config["output"]]
        _refuse_misfit(config, self._session)
        pb.Logger.log_info(f"model '{config['name']}' version {args['model_version']}: {path} on {self._session.get_providers()[0]}")

    def execute(self, requests: Sequence[pb.InferenceRequest]) -> list[pb.InferenceResponse]:
        """Answer all requests from one run; when they cannot share one, each gets its own answer or its own error."""
        feeds: list[Arrays] = []
        errors: list[str | None] = []
        for request in requests:
            feed, error = self._read(request)
            feeds.append(feed)
            errors.append(error)
        wanted = self._wanted(requests)
        answers = self._run_together(feeds, wanted) if self._batches and not any(errors) else None
        if answers is not None:
            return [_response(answer) for answer in answers]
        return [_error(error) if error else self._run_alone(feed, wanted) for feed, error in zip(feeds, errors, strict=True)]

    def _read(self, request: pb.InferenceRequest) -> tuple[Arrays, str | None]:
        feed: Arrays = {}
        for name, data_type, optional in self._inputs:
            tensor = pb.get_input_tensor_by_name(request, name)
            if tensor is None and optional:
                continue
            if tensor is None:
                return feed, f"input '{name}' is missing; the model needs {[n for n, _, optional in self._inputs if not optional]}"
            try:
                feed[name] = _decoded(tensor.as_numpy()) if data_type == "TYPE_STRING" else tensor.as_numpy()
            except UnicodeDecodeError as error:
                return feed, f"input '{name}' is not UTF-8 text: {error}"
        return feed, None

    def _wanted(self, requests: Iterable[pb.InferenceRequest]) -> list[str]:
        asked = {name for request in requests for name in request.requested_output_names()}
        return [name for name in self._outputs if name in asked] or self._outputs

    def _run_together(self, feeds: Sequence[Arrays], wanted: Sequence[str]) -> list[Arrays] | None:
        """The answers of one run over all feeds, or None when only runs of their own can tell which feed is at fault."""
        if len({_signature(feed) for feed in feeds}) != 1:
            return None
        names = list(feeds[0])
        rows = [len(feed[names[0]]) for feed in feeds]
        joined = feeds[0] if len(feeds) == 1 else {name: np.concatenate([feed[name] for feed in feeds]) for name in names}
        try:
            outputs = self._session.run(wanted, joined)
        except Exception as error:  # ONNX Runtime has no common base class for what it raises
            if len(feeds) > 1:
                pb.Logger.log_verbose(f"a batch of {len(feeds)} requests failed, running each alone: {error}")
            return None
        if any(np.ndim(output) == 0 or len(output) != sum(rows) for output in outputs):
            return None
        ends = np.cumsum(rows)
        return [
            {name: output[end - count : end] for name, output in zip(wanted, outputs, strict=True)}
            for count, end in zip(rows, ends, strict=True)
        ]

    def _run_alone(self, feed: Arrays, wanted: Sequence[str]) -> pb.InferenceResponse:
        try:
            outputs = self._session.run(wanted, feed)
        except Exception as error:  # ONNX Runtime has no common base class for what it raises
            shapes = {name: list(array.shape) for name, array in feed.items()}
            return _error(f"ONNX Runtime refused inputs of shape {shapes}: {error}")
        if self._batches:
            rows = len(next(iter(feed.values())))
            for name, output in zip(wanted, outputs, strict=True):
                if np.ndim(output) == 0 or len(output) != rows:
                    return _error(
                        f"output '{name}' has shape {list(np.shape(output))} for a batch of {rows}: its first axis is not the batch; "
                        "set max_batch_size: 0 in config.pbtxt or export the model with a batch axis"
                    )
        return _response(dict(zip(wanted, outputs, strict=True)))


def _open_session(path: Path, config: Mapping[str, Any]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = _whole_parameter(config, "intra_op_thread_count")
    options.inter_op_num_threads = _whole_parameter(config, "inter_op_thread_count")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common base class for what it raises
        raise pb.TritonModelException(f"model '{config['name']}': ONNX Runtime {ort.__version__} cannot load {path}: {error}") from error


def _whole_parameter(config: Mapping[str, Any], name: str) -> int:
    text = config.get("parameters", {}).get(name, {}).get("string_value", "1")
    if not text.isdecimal():
        raise pb.TritonModelException(f"model '{config['name']}': parameter {name} is '{text}'; give a whole number, 0 means all cores")
    return int(text)


def _refuse_misfit(config: Mapping[str, Any], session: ort.InferenceSession) -> None:
    """Say at load time what would otherwise fail in every request."""
    for kind, configured, actual in (
        ("input", config["input"], session.get_inputs()),
        ("output", config["output"], session.get_outputs()),
    ):
        types = {node.name: node.type for node in actual}
        for entry in configured:
            name = entry["name"]
            if name not in types:
                raise pb.TritonModelException(f"model '{config['name']}': config.pbtxt names {kind} '{name}'; the ONNX file has {sorted(types)}")
            triton_type = _triton_type(types[name], name)
            if triton_type != entry["data_type"]:
                raise pb.TritonModelException(
                    f"model '{config['name']}': {kind} '{name}' is {entry['data_type']} in config.pbtxt and {triton_type} in the ONNX file"
                )


def _triton_type(onnx_type: str, name: str) -> str:
    try:
        return TRITON_TYPE_BY_ONNX_TYPE[onnx_type]
    except KeyError as error:
        raise pb.TritonModelException(
            f"'{name}' is {onnx_type}, which Triton cannot carry; export it as a plain tensor (skl2onnx: options={{'zipmap': False}})"
        ) from error


def _complete(config: pb.ModelConfig, session: ort.InferenceSession) -> None:
    nodes = [*session.get_inputs(), *session.get_outputs()]
    # A free first axis everywhere is how exporters write "any batch size"; the C++ backend reads it the same way.
    batches = all(node.shape and not isinstance(node.shape[0], int) for node in nodes)
    known = config.as_dict()
    if batches and known["max_batch_size"] == 0:
        config.set_max_batch_size(4)
        config.set_dynamic_batching()
    skipped_axes = 1 if known["max_batch_size"] > 0 else 0
    # A hand-written list is kept whole: the file may have more outputs than the author wants to serve.
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
            f"'{node.name}' is one number a row, which needs `dims: [ 1 ] reshape {{ shape: [ ] }}`; write the inputs and outputs in config.pbtxt"
        )
    return {"name": node.name, "data_type": _triton_type(node.type, node.name), "dims": dims}


def _model_file_of_this_process() -> Path | None:
    """The ONNX file, from the first argument of the stub process: Triton gives `auto_complete_config` no path."""
    arguments = Path("/proc/self/cmdline").read_text().split("\0")
    path = Path(arguments[1]) if len(arguments) > 1 else None
    return path if path is not None and path.is_file() else None


def _decoded(array: np.ndarray) -> np.ndarray:
    texts = [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in array.ravel()]
    return np.array(texts, dtype=np.object_).reshape(array.shape)


def _signature(feed: Arrays) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, array.shape[1:]) for name, array in feed.items())


def _response(outputs: Arrays) -> pb.InferenceResponse:
    return pb.InferenceResponse([pb.Tensor(name, np.ascontiguousarray(array)) for name, array in outputs.items()])


def _error(message: str) -> pb.InferenceResponse:
    return pb.InferenceResponse(error=pb.TritonError(message))
