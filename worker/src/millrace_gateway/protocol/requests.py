"""One infer request: its bytes to records, and the answers of its records to its response.

Of a model that batches, each row is a record, so rows of many callers share tasks; the outputs are put together again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from millrace_contracts.models import ModelDescription
from millrace_contracts.predictions import Parameters
from millrace_gateway.asked import read_parameters
from millrace_gateway.bodies import as_json, read_json
from millrace_gateway.errors import NotSupported, RequestMalformed
from millrace_gateway.protocol import tensors

HEADER: Final = "Inference-Header-Content-Length"
_UNSUPPORTED: Final = ("sequence_id", "sequence_start", "sequence_end", "shared_memory_region")
_OWN: Final = ("binary_data_output", "priority", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedOutput:
    """An output that the caller asks for."""

    name: str
    is_binary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """What a caller sent."""

    id: str
    records: Sequence[Mapping[str, Any]]
    parameters: Parameters
    timeout_seconds: float | None
    wanted: Sequence[WantedOutput] = field(default_factory=tuple)
    """Empty: all."""
    all_binary: bool = False


def read_infer(body: bytes, header_length: str | None, model: ModelDescription) -> InferRequest:
    """Read an infer request, or raise RequestMalformed or NotSupported."""
    head, rest = _split(body, header_length)
    document = read_json(head)
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise RequestMalformed('the request must be an object with a list "inputs"')
    parameters = _checked(document.get("parameters"), "the request")
    values, shapes = _inputs(document["inputs"], rest, model)
    return InferRequest(
        id=str(document.get("id", "")),
        records=_records(values, shapes, model),
        parameters=read_parameters({name: value for name, value in parameters.items() if name not in _OWN}),
        timeout_seconds=_timeout(parameters),
        wanted=_wanted(document.get("outputs"), model, binary=bool(parameters.get("binary_data_output", False))),
        all_binary=bool(parameters.get("binary_data_output", False)),
    )


def write_infer(
    request: InferRequest, answers: Sequence[Mapping[str, Any]], model: ModelDescription
) -> tuple[bytes, dict[str, str]]:
    """Write the response: its body, and the headers that say how to read it."""
    types = {each.name: each.datatype for each in model.outputs}
    wanted = request.wanted or [WantedOutput(name=name, is_binary=request.all_binary) for name in answers[0]["outputs"]]
    outputs, parts = [], []
    for want in wanted:
        rows = [_output(answer, want.name) for answer in answers]
        datatype = types.get(want.name, "")
        array = tensors.to_array(rows if model.max_batch_size > 0 else rows[0], datatype, want.name)
        described: dict[str, Any] = {"name": want.name, "datatype": datatype, "shape": list(array.shape)}
        if want.is_binary:
            parts.append(tensors.to_bytes(array, datatype))
            described["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            described["data"] = tensors.to_json(array, datatype, want.name)
        outputs.append(described)
    document = {"model_name": model.name, "model_version": str(answers[0]["model_version"]), "outputs": outputs}
    if request.id:
        document["id"] = request.id
    head = as_json(document).encode()
    if not parts:
        return head, {"Content-Type": "application/json"}
    return head + b"".join(parts), {"Content-Type": "application/octet-stream", HEADER: str(len(head))}


def _split(body: bytes, header_length: str | None) -> tuple[bytes, bytes]:
    if header_length is None:
        return body, b""
    if not header_length.isdigit() or int(header_length) > len(body):
        raise RequestMalformed(f"{HEADER} must be the length of the JSON part, and the body has {len(body)} bytes")
    return body[: int(header_length)], body[int(header_length) :]


def _inputs(
    described: Sequence[Any], rest: bytes, model: ModelDescription
) -> tuple[dict[str, Any], dict[str, list[int]]]:
    types = {each.name: each.datatype for each in model.inputs}
    values: dict[str, Any] = {}
    shapes: dict[str, list[int]] = {}
    at = 0
    for each in described:
        name, datatype, shape = _described(each)
        if name in values:
            raise RequestMalformed(f'input "{name}" stands there more than once')
        if datatype != types.get(name, datatype):
            raise RequestMalformed(f'input "{name}" is {datatype}, and the model needs {types[name]}')
        parameters = _checked(each.get("parameters"), f'input "{name}"')
        size = parameters.get("binary_data_size")
        if size is None:
            if "data" not in each:
                raise RequestMalformed(f'input "{name}" has neither "data" nor the parameter binary_data_size')
            values[name] = tensors.from_json(each["data"], shape, name)
        else:
            if not isinstance(size, int) or size < 0 or at + size > len(rest):
                raise RequestMalformed(f'input "{name}": binary_data_size does not fit into the {len(rest)} bytes sent')
            values[name] = tensors.from_bytes(rest[at : at + size], datatype, shape, name)
            at += size
        shapes[name] = shape
    if at != len(rest):
        raise RequestMalformed(f"{len(rest) - at} bytes after the JSON part belong to no input")
    return values, shapes


def _described(each: Any) -> tuple[str, str, list[int]]:
    if not isinstance(each, dict):
        raise RequestMalformed('each of "inputs" must be an object')
    name, datatype, shape = each.get("name"), each.get("datatype"), each.get("shape")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise RequestMalformed('each of "inputs" needs "name" and "datatype"')
    if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise RequestMalformed(f'input "{name}" needs "shape", a list of sizes')
    return name, datatype, shape


def _records(
    values: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], model: ModelDescription
) -> Sequence[Mapping[str, Any]]:
    known = {each.name for each in model.inputs}
    for name in values:
        if name not in known:
            raise RequestMalformed(f'model "{model.name}" has no input "{name}"; it has {", ".join(sorted(known))}')
    if model.max_batch_size <= 0:
        return [values]
    rows = {shape[0] if shape else 0 for shape in shapes.values()}
    if len(rows) != 1 or rows == {0}:
        raise RequestMalformed("the first axis is the batch: it must be there, above 0, and equal for all inputs")
    return [{name: column[i] for name, column in values.items()} for i in range(rows.pop())]


def _wanted(outputs: Any, model: ModelDescription, *, binary: bool) -> Sequence[WantedOutput]:
    if outputs is None:
        return ()
    if not isinstance(outputs, list):
        raise RequestMalformed('"outputs" must be a list')
    known = {each.name for each in model.outputs}
    wanted = []
    for each in outputs:
        if not isinstance(each, dict) or each.get("name") not in known:
            raise RequestMalformed(f'model "{model.name}" has the outputs {", ".join(sorted(known))}, and no other')
        parameters = _checked(each.get("parameters"), f'output "{each["name"]}"')
        if parameters.get("classification"):
            raise NotSupported(f'output "{each["name"]}": classification is not supported; ask for the scores')
        wanted.append(WantedOutput(name=each["name"], is_binary=bool(parameters.get("binary_data", binary))))
    return wanted


def _checked(parameters: Any, where: str) -> Mapping[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestMalformed(f'"parameters" of {where} must be an object')
    for name in _UNSUPPORTED:
        if parameters.get(name):
            raise NotSupported(f'the parameter "{name}" of {where} is not supported: requests are independent here')
    return parameters


def _timeout(parameters: Mapping[str, Any]) -> float | None:
    """Read `timeout`, in microseconds; 0 is none, as for Triton."""
    value = parameters.get("timeout", 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RequestMalformed('the parameter "timeout" must be a number of microseconds')
    return value / 1e6 if value else None


def _output(answer: Mapping[str, Any], name: str) -> Any:
    if name not in answer["outputs"]:
        raise NotSupported(f'the model did not answer the output "{name}"')
    return answer["outputs"][name]
