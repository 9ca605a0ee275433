"""JSON records to tensors and back."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from millrace_worker.errors import RecordInvalid
from millrace_worker.inference import codec
from millrace_worker.inference.model import NUMPY_TYPES, Answer, ModelSignature, TensorSpec


def signature(*specs: TensorSpec, max_batch_size: int = 8) -> ModelSignature:
    return ModelSignature(name="m", requested_version="", inputs=specs, max_batch_size=max_batch_size)


def spec(datatype: str = "FP32", dims: tuple[int, ...] = (2,), *, optional: bool = False) -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, dims=dims, optional=optional)


def refusal(value: Any, tensor: TensorSpec) -> str:
    with pytest.raises(RecordInvalid) as caught:
        codec.encode({"x": value}, signature(tensor))
    return str(caught.value)


NUMERIC = [name for name in NUMPY_TYPES if name not in {"BYTES", "BF16"}]


@st.composite
def typed_arrays(draw: st.DrawFn) -> tuple[str, Any]:
    datatype = draw(st.sampled_from(NUMERIC))
    elements = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else None
    shape = np_st.array_shapes(min_dims=1, max_dims=3, max_side=4)
    return datatype, draw(np_st.arrays(NUMPY_TYPES[datatype], shape, elements=elements))


# numpy alone would round a mixture of small and very large integers to floats.
@example(("UINT64", np.array([1, 2**64 - 1], dtype=np.uint64)))
@given(typed_arrays())
def test_what_json_says_of_a_tensor_makes_the_same_tensor(typed: tuple[str, Any]) -> None:
    datatype, array = typed
    record = json.loads(json.dumps({"x": codec.to_json(array)}))
    tensor = codec.encode(record, signature(spec(datatype, array.shape)))["x"]
    assert tensor.dtype == array.dtype
    assert np.array_equal(tensor, array)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_text_comes_back_as_it_was(texts: list[str]) -> None:
    tensor = codec.encode({"x": texts}, signature(spec("BYTES", (-1,))))["x"]
    assert codec.to_json(tensor) == texts


@given(st.lists(st.binary(), min_size=1, max_size=5))
def test_what_json_says_of_bytes_makes_the_same_bytes(raw: list[bytes]) -> None:
    array = np.array([*raw, None], dtype=object)[:-1]
    record = json.loads(json.dumps({"x": codec.to_json(array)}))
    assert raw == codec.encode(record, signature(spec("BYTES", (-1,))))["x"].tolist()


def test_bytes_alone_stand_for_a_tensor_of_one_element() -> None:
    assert [b"\xff"] == codec.encode({"x": {"b64": "/w=="}}, signature(spec("BYTES", (1,))))["x"].tolist()


@given(st.sampled_from(["INT8", "INT64", "UINT64"]), st.lists(st.integers(0, 127), min_size=2, max_size=2))
def test_a_float_that_is_whole_is_taken_for_an_integer(datatype: str, numbers: list[int]) -> None:
    tensor = codec.encode({"x": [float(numbers[0]), numbers[1]]}, signature(spec(datatype)))["x"]
    assert (numbers, NUMPY_TYPES[datatype]) == (tensor.tolist(), tensor.dtype)


@pytest.mark.parametrize(
    ("datatype", "value", "problem"),
    [
        ("INT32", math.nan, '"x" is INT32 and holds NaN'),
        ("INT32", -math.inf, '"x" is INT32 and holds infinity'),
        ("INT64", 1e300, '"x" is INT64 and holds an integer outside'),
        ("FP32", 1e300, '"x" holds a number that is too large for FP32'),
    ],
)
def test_what_a_type_does_not_hold_is_named(datatype: str, value: float, problem: str) -> None:
    with pytest.raises(RecordInvalid, match=problem):
        codec.encode({"x": [1, value]}, signature(spec(datatype)), takes_nonfinite=True)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "BF16"])
def test_nan_and_infinity_are_sent_where_the_source_can_say_them(datatype: str) -> None:
    tensor = codec.encode({"x": [math.nan, -math.inf]}, signature(spec(datatype)), takes_nonfinite=True)["x"]
    np.testing.assert_array_equal(np.array([math.nan, -math.inf]), tensor)


@given(st.lists(st.lists(st.integers(0, 99), min_size=3, max_size=3), min_size=1, max_size=8))
def test_each_record_of_a_batch_gets_its_own_row(values: list[list[int]]) -> None:
    model = signature(spec("INT32", (3,)))
    joined = codec.join([codec.encode({"x": value}, model) for value in values], model)
    rows = codec.split(Answer(joined, "1"), model, row_count=len(values))
    assert rows == [{"x": value} for value in values]


def test_a_model_without_batching_gets_tensors_without_a_batch_axis() -> None:
    model = signature(spec(dims=(2,)), max_batch_size=0)
    joined = codec.join([codec.encode({"x": [1, 2]}, model)], model)
    assert joined["x"].shape == (2,)
    assert codec.split(Answer(joined, "1"), model, row_count=1) == [{"x": [1.0, 2.0]}]


def test_a_plain_number_stands_for_a_tensor_of_one_element() -> None:
    assert codec.encode({"x": 5}, signature(spec(dims=(1,))))["x"].tolist() == [5.0]


def test_an_open_dimension_takes_any_length() -> None:
    assert codec.encode({"x": [[1], [2], [3]]}, signature(spec(dims=(-1, 1))))["x"].shape == (3, 1)


def test_fields_that_are_no_input_are_left_alone() -> None:
    assert list(codec.encode({"x": [1, 2], "label": "seven"}, signature(spec()))) == ["x"]


def test_an_optional_input_may_be_missing() -> None:
    other = TensorSpec(name="y", datatype="FP32", dims=(1,))
    assert list(codec.encode({"y": [1]}, signature(spec(optional=True), other))) == ["y"]


def test_a_missing_input_is_named_with_the_fields_that_are_there() -> None:
    with pytest.raises(RecordInvalid) as caught:
        codec.encode({"pixels": [1, 2]}, signature(spec()))
    assert str(caught.value) == 'there is no field "x", which the model needs; the fields are: pixels'


def test_a_wrong_shape_is_named_with_the_right_one() -> None:
    assert refusal([1, 2, 3], spec()) == '"x" has the shape [3], and the model needs [2]'


@pytest.mark.parametrize(
    ("value", "datatype", "wrong"),
    [
        (["a", 1], "BYTES", "an integer"),
        ([1, True], "INT32", "a boolean"),
        ([1.0, 2.5], "INT32", "a number with a fraction"),
        ([2.0, "a"], "BYTES", "a number"),
        (["a", {}], "BYTES", 'an object other than {"b64": "..."}'),
        (["a", {"b64": 5}], "BYTES", 'an object other than {"b64": "..."}'),
        (["a", {"b64": "YQ==", "more": 1}], "BYTES", 'an object other than {"b64": "..."}'),
        (["a", {"b64": "Y"}], "BYTES", 'a "b64" that is not base64'),
        (["a", {"b64": "YQ==é"}], "BYTES", 'a "b64" that is not base64'),
        ([1.0, "2"], "FP32", "a string"),
        ([0, 1], "BOOL", "an integer"),
        ([1.0, None], "FP32", "null"),
        ([{}, {}], "FP32", "an object"),
    ],
)
def test_a_wrong_type_is_named(value: Any, datatype: str, wrong: str) -> None:
    assert refusal(value, spec(datatype)) == f'"x" is {datatype} and holds {wrong}'


def test_a_mapped_tensor_takes_its_field_and_each_message_names_the_field() -> None:
    model = signature(spec("INT32"))
    assert [1, 2] == codec.encode({"img": [1, 2], "x": "label"}, model, fields={"x": "img"})["x"].tolist()
    for record, problem in (
        ({"x": [1, 2]}, 'there is no field "img", which the model needs as "x"; the fields are: x'),
        ({"img": None, "x": [1, 2]}, '"img" is null, and the model needs it'),
        ({"img": [1]}, '"img" has the shape [1], and the model needs [2]'),
    ):
        with pytest.raises(RecordInvalid) as caught:
            codec.encode(record, model, fields={"x": "img"})
        assert problem == str(caught.value)


def test_a_field_that_is_null_is_not_called_missing() -> None:
    assert '"x" is null, and the model needs it' == refusal(None, spec())


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
def test_lists_of_different_lengths_are_refused(datatype: str) -> None:
    leaf: Any = "a" if datatype == "BYTES" else 1.0
    message = refusal([[leaf, leaf], [leaf]], spec(datatype, (2, 2)))
    assert message == 'the lists of "x" have different lengths; a tensor needs equal ones'


@pytest.mark.parametrize(
    ("value", "datatype"),
    [([256, 0], "UINT8"), ([-1, 0], "UINT64"), ([2**63, 0], "INT64"), ([2**70, 0], "UINT64"), ([2**63, -1], "INT64")],
)
def test_an_integer_beyond_its_type_is_refused(value: list[int], datatype: str) -> None:
    assert f'"x" is {datatype} and holds an integer outside' in refusal(value, spec(datatype))


@pytest.mark.parametrize(
    ("value", "datatype"),
    [(1e39, "FP32"), (70_000.0, "FP16"), (math.inf, "FP64"), (10**400, "FP64"), (10**400, "FP16")],
)
def test_a_number_too_large_for_its_type_is_refused(value: float, datatype: str) -> None:
    assert refusal([value, 0], spec(datatype)) == f'"x" holds a number that is too large for {datatype}'


def test_numbers_that_json_does_not_have_become_null() -> None:
    assert codec.to_json(np.array([[1.0, np.nan], [np.inf, 2.0]])) == [[1.0, None], [None, 2.0]]


def test_bytes_that_are_no_text_become_base64() -> None:
    assert codec.to_json(np.array([b"ok", b"\xff"], dtype=object)) == ["ok", {"b64": "/w=="}]
