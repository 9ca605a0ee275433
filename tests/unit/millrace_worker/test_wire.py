"""Tensors as bytes of Triton's protocol, and back."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from millrace_worker.inference import wire
from millrace_worker.inference.model import NUMPY_TYPES, ModelSignature, TensorSpec


def sent(array: Any, datatype: str, **options: Any) -> Any:
    inputs = (TensorSpec(name="x", datatype=datatype, dims=(-1,)),)
    signature = ModelSignature(name="m", requested_version="7", inputs=inputs, max_batch_size=8)
    return wire.request_of(signature, {"x": array}, **options)


def echoed(request: Any) -> Any:
    """Answer what a model that sends its input back would give."""
    response = service_pb2.ModelInferResponse()
    for tensor in request.inputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    response.raw_output_contents.extend(request.raw_input_contents)
    return wire.outputs_of(response)["x"]


@given(datatype=st.sampled_from(sorted(set(NUMPY_TYPES) - {"BYTES"})), numbers=st.lists(st.integers(0, 100)))
def test_numbers_come_back_as_they_went(datatype: str, numbers: list[int]) -> None:
    array = np.array(numbers, dtype=NUMPY_TYPES[datatype]).reshape(1, -1)
    np.testing.assert_array_equal(array, echoed(sent(array, datatype)))


@given(texts=st.lists(st.binary(max_size=5)))
def test_bytes_come_back_as_they_went(texts: list[bytes]) -> None:
    array = np.array([*texts, None], dtype=np.object_)[:-1].reshape(1, -1)
    assert [texts] == echoed(sent(array, "BYTES")).tolist()


def test_the_largest_number_stays_finite_as_bf16() -> None:
    assert np.isfinite(echoed(sent(np.array([[np.finfo(np.float32).max]], dtype=np.float32), "BF16"))).all()


def test_no_nan_becomes_infinite_as_bf16() -> None:
    smallest_nan = np.array([[0x7F800001]], dtype=np.uint32).view(np.float32)
    assert np.isnan(echoed(sent(smallest_nan, "BF16"))).all()


def test_parameters_and_wanted_outputs_are_sent_by_their_types() -> None:
    request = sent(
        np.zeros((1, 1), dtype=np.float32),
        "FP32",
        parameters={"a": True, "b": 2, "c": 2.5, "d": "e"},
        outputs=["y"],
    )
    found = {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in request.parameters.items()}
    assert found == {"a": True, "b": 2, "c": 2.5, "d": "e"}
    assert ["y"] == [output.name for output in request.outputs]
    assert ("m", "7") == (request.model_name, request.model_version)


@pytest.mark.parametrize("name", ["sequence_id", "priority", "triton_enable_empty_final_response"])
def test_parameters_of_triton_itself_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        sent(np.zeros((1, 1), dtype=np.float32), "FP32", parameters={name: 1})
