"""Tensors of the Open Inference Protocol, as JSON and as bytes."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from millrace_contracts.models import ModelDescription, TensorDescription
from millrace_gateway.errors import GatewayError, NotSupported, RequestMalformed
from millrace_gateway.protocol import tensors
from millrace_gateway.protocol.requests import HEADER, read_infer, write_infer

BATCHES = ModelDescription(
    name="m",
    inputs=[TensorDescription(name="x", datatype="FP32", shape=[-1, 2])],
    outputs=[
        TensorDescription(name="y", datatype="FP32", shape=[-1, 2]),
        TensorDescription(name="text", datatype="BYTES", shape=[-1, 1]),
    ],
    max_batch_size=8,
)
WHOLE = BATCHES.model_copy(update={"max_batch_size": 0})


def answer(y: list[Any], text: Any = "a") -> dict[str, Any]:
    return {"model_version": "3", "outputs": {"y": y, "text": [text]}}


def x(**fields: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], **fields}


def body(*inputs: Any, **fields: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), **fields}).encode()


@given(datatype=st.sampled_from(["BOOL", "INT8", "INT64", "UINT8", "UINT64", "FP16", "FP32", "FP64"]), data=st.data())
def test_numbers_survive_the_way_through_bytes_and_json(datatype: str, data: st.DataObject) -> None:
    dtype = np.dtype(tensors.NUMPY_TYPES[datatype])
    elements = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    shape = data.draw(numpy_strategies.array_shapes(min_dims=1, max_dims=3, max_side=3))
    array = data.draw(numpy_strategies.arrays(dtype, shape, elements=elements))
    values = tensors.from_bytes(array.tobytes(), datatype, list(shape), "x")
    again = tensors.to_array(json.loads(json.dumps(values)), datatype, "x")
    assert array.tobytes() == tensors.to_bytes(again, datatype)


@given(texts=st.lists(st.text(max_size=5), max_size=4))
def test_texts_survive_the_way_through_bytes(texts: list[str]) -> None:
    raw = tensors.to_bytes(np.array(texts, dtype=object), "BYTES")
    assert texts == tensors.from_bytes(raw, "BYTES", [len(texts)], "x")


def test_a_number_that_json_does_not_have_comes_back_as_nan() -> None:
    array = tensors.to_array([[1.0, None]], "FP32", "y")
    np.testing.assert_array_equal(np.array([[1.0, np.nan]], dtype=np.float32), array)
    assert [1.0, None] == tensors.to_json(array, "FP32", "y")


@pytest.mark.parametrize(
    ("values", "datatype"), [([1.5], "INT32"), ([None], "INT64"), ([[1], [2, 3]], "FP32"), ([1], "BOOL")]
)
def test_an_output_that_is_not_what_was_described_is_not_bent_into_it(values: list[Any], datatype: str) -> None:
    with pytest.raises(NotSupported, match="was described with"):
        tensors.to_array(values, datatype, "y")


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
def test_each_row_of_a_model_that_batches_is_a_record(data: list[Any]) -> None:
    read = read_infer(body(x(shape=[2, 2], data=data)), None, BATCHES)
    assert [{"x": [1, 2]}, {"x": [3, 4]}] == read.records


def test_a_request_of_a_model_that_does_not_batch_is_one_record() -> None:
    assert [{"x": [[1, 2]]}] == read_infer(body(x()), None, WHOLE).records


def test_rows_are_put_together_again_in_the_form_that_was_asked_for() -> None:
    wanted = [{"name": "text"}, {"name": "y", "parameters": {"binary_data": True}}]
    request = read_infer(body(x(), outputs=wanted, id="7"), None, BATCHES)
    content, headers = write_infer(request, [answer([1.0, 2.0]), answer([3.0, 4.0], "é")], BATCHES)
    length = int(headers[HEADER])
    document = json.loads(content[:length])
    assert ("7", "3") == (document["id"], document["model_version"])
    assert ["a", "é"] == document["outputs"][0]["data"]
    assert [2, 2] == document["outputs"][1]["shape"]
    np.testing.assert_array_equal([1, 2, 3, 4], np.frombuffer(content[length:], dtype=np.float32))


def test_without_a_choice_all_outputs_come_as_json() -> None:
    content, headers = write_infer(read_infer(body(x()), None, BATCHES), [answer([1.0, 2.0])], BATCHES)
    assert "application/json" == headers["Content-Type"]
    assert ["y", "text"] == [each["name"] for each in json.loads(content)["outputs"]]


def test_a_timeout_is_in_microseconds() -> None:
    assert 1.5 == read_infer(body(x(), parameters={"timeout": 1_500_000}), None, BATCHES).timeout_seconds


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"{}", RequestMalformed, '"inputs"'),
        (body(1), RequestMalformed, "must be an object"),
        (body({"name": "x"}), RequestMalformed, '"datatype"'),
        (body(x(shape=[-1])), RequestMalformed, '"shape"'),
        (body(x(shape=[1, 3])), RequestMalformed, "has 2 elements"),
        (body(x(data=[[1], 2])), RequestMalformed, "mixes lists"),
        (body(x(datatype="FP64")), RequestMalformed, 'input "x" is FP64, and the model needs FP32'),
        (body(x(), x()), RequestMalformed, "more than once"),
        (body(x(name="z")), RequestMalformed, 'no input "z"; it has x'),
        (body(x(shape=[0, 2], data=[])), RequestMalformed, "first axis"),
        (body(x(parameters={"binary_data_size": 8})), RequestMalformed, "does not fit"),
        (body({"name": "x", "datatype": "FP32", "shape": [1]}), RequestMalformed, "neither"),
        (body(x(), outputs=[{"name": "nosuch"}]), RequestMalformed, "y"),
        (body(x(), outputs=[{"name": "y", "parameters": {"classification": 2}}]), NotSupported, "classification"),
        (body(x(), parameters={"sequence_id": 4}), NotSupported, "sequence_id"),
        (body(x(parameters={"shared_memory_region": "a"})), NotSupported, "shared_memory_region"),
    ],
)
def test_what_is_wrong_is_named(content: bytes, kind: type[GatewayError], says: str) -> None:
    with pytest.raises(kind, match=says):
        read_infer(content, None, BATCHES)


@pytest.mark.parametrize(
    ("raw", "datatype", "kind"),
    [
        (b"\0" * 7, "FP32", RequestMalformed),
        (np.array([np.nan, 1], np.float32).tobytes(), "FP32", NotSupported),
        (b"\0" * 4, "BF16", NotSupported),
        (b"\x05\0\0\0ab", "BYTES", RequestMalformed),
        (b"\x01\0\0\0\xff\x01\0\0\0a", "BYTES", NotSupported),
        (b"\x01\0\0\0a\x01", "BYTES", RequestMalformed),
    ],
)
def test_bytes_that_are_no_such_tensor_are_refused(raw: bytes, datatype: str, kind: type[GatewayError]) -> None:
    with pytest.raises(kind):
        tensors.from_bytes(raw, datatype, [2], "x")


@pytest.mark.parametrize("length", ["-1", "9999", "ten"])
def test_the_length_of_the_json_part_must_be_true(length: str) -> None:
    with pytest.raises(RequestMalformed, match=HEADER):
        read_infer(body(x()), length, BATCHES)


def test_bytes_that_belong_to_no_input_are_refused() -> None:
    content = body(x())
    with pytest.raises(RequestMalformed, match="belong to no input"):
        read_infer(content + b"more", str(len(content)), BATCHES)
