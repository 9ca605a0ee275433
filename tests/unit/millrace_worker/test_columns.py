"""Encoding many records at once gives what encoding them one by one gives, or leaves it to that."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_worker.errors import RecordInvalid
from millrace_worker.inference import codec, columns
from millrace_worker.inference.model import NUMPY_TYPES, ModelSignature, TensorSpec

PLAIN = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-2, 300),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-3, 3, width=16),
    st.booleans(),
    st.text(max_size=3),
    st.sampled_from([{"b64": "/w=="}, {"b64": "?"}]),
    st.none(),
)
VALUES = st.one_of(
    PLAIN,
    st.lists(st.integers(-2, 300), min_size=2, max_size=2),
    st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    st.lists(PLAIN, max_size=3),
    st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), max_size=2),
)
DIMS = st.sampled_from([(2,), (-1,), (1,), (), (2, 2), (-1, 2)])


def model(datatype: str, dims: tuple[int, ...], *, optional: bool = False) -> ModelSignature:
    inputs = (TensorSpec(name="x", datatype=datatype, dims=dims, optional=optional),)
    return ModelSignature(name="m", requested_version="", inputs=inputs, max_batch_size=8)


def one_by_one(records: list[dict[str, Any]], signature: ModelSignature, *, takes_nonfinite: bool) -> Any:
    """Answer the joined tensors, or None where a record fails or the shapes differ."""
    try:
        rows = [codec.encode(record, signature, takes_nonfinite=takes_nonfinite) for record in records]
    except RecordInvalid:
        return None
    return codec.join(rows, signature) if len({codec.shape_of(row) for row in rows}) == 1 else None


@settings(max_examples=400)
@given(
    datatype=st.sampled_from(sorted(NUMPY_TYPES)),
    dims=DIMS,
    values=st.one_of(st.lists(VALUES, min_size=1, max_size=4), VALUES.flatmap(lambda one: st.just([one, one]))),
    is_optional=st.booleans(),
    takes_nonfinite=st.booleans(),
)
def test_together_is_as_one_by_one_or_left_to_it(
    datatype: str, dims: tuple[int, ...], values: list[Any], *, is_optional: bool, takes_nonfinite: bool
) -> None:
    signature = model(datatype, dims, optional=is_optional)
    records = [{"x": value, "y": 1} for value in values]
    together = columns.encode_all(records, signature, {}, takes_nonfinite=takes_nonfinite)
    if together is not None:
        expected = one_by_one(records, signature, takes_nonfinite=takes_nonfinite)
        assert expected is not None
        assert expected.keys() == together.keys()
        assert expected["x"].dtype == together["x"].dtype
        np.testing.assert_array_equal(expected["x"], together["x"])


@settings(max_examples=200)
@given(
    datatype=st.sampled_from(sorted(NUMPY_TYPES)),
    dims=DIMS,
    kind=st.sampled_from(["bool", "int8", "int64", "uint64", "float16", "float32", "float64"]),
    numbers=st.lists(
        st.one_of(
            st.integers(0, 127),
            st.sampled_from([0, 1, 2**53 + 1, 2**63 - 1, 2**64 - 1, -1, -0.0, 0.5, 1e300, np.nan, np.inf, -np.inf]),
        ),
        min_size=4,
        max_size=4,
    ),
    shape=st.sampled_from([(4,), (2, 2), (1, 2, 2)]),
)
def test_a_column_of_a_file_becomes_what_its_rows_become(
    datatype: str, dims: tuple[int, ...], kind: str, numbers: list[float], shape: tuple[int, ...]
) -> None:
    with np.errstate(all="ignore"):
        column = np.array([np.array(number).astype(kind) for number in numbers]).reshape(shape)
    signature = model(datatype, dims)
    fitted = columns.fit_columns({"x": column}, signature, {})
    if fitted is not None:
        expected = one_by_one([{"x": row} for row in column.tolist()], signature, takes_nonfinite=True)
        assert expected is not None
        np.testing.assert_array_equal(expected["x"], fitted["x"])


@pytest.mark.parametrize(
    ("datatype", "dims", "values"),
    [
        ("FP32", (2,), [[1, 2.5], [0, 1]]),
        ("FP32", (1,), [1, 2.5]),
        ("INT64", (-1,), [[1, 0], [3, 4]]),
        ("UINT64", (1,), [2**64 - 1, 0]),
        ("BOOL", (2,), [[True, False], [False, True]]),
        ("BYTES", (1,), ["a", "É"]),
        ("FP32", (2, 2), [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]),
    ],
)
def test_what_is_usual_takes_the_quick_way(datatype: str, dims: tuple[int, ...], values: list[Any]) -> None:
    assert columns.encode_all([{"x": value} for value in values], model(datatype, dims), {}) is not None


@pytest.mark.parametrize(("datatype", "target"), [("FP32", "float32"), ("FP16", "float16"), ("INT32", "int32")])
def test_a_column_of_floats_takes_the_quick_way_whatever_it_holds_that_fits(datatype: str, target: str) -> None:
    column = np.array([3.0, np.nan, -np.inf] if target != "int32" else [3.0, -0.0, -7.0])
    fitted = columns.fit_columns({"x": column}, model(datatype, (1,)), {})
    assert fitted is not None
    np.testing.assert_array_equal(column.astype(target).reshape(3, 1), fitted["x"])
    assert target == fitted["x"].dtype


def test_a_boolean_among_numbers_is_not_taken_for_one() -> None:
    assert columns.encode_all([{"x": [True, 2.5]}], model("FP32", (2,)), {}) is None
    assert columns.encode_all([{"x": [7, True]}], model("INT32", (2,)), {}) is None


def test_a_tensor_can_come_from_a_field_of_another_name() -> None:
    tensors = columns.encode_all([{"pixels": [1, 2]}], model("FP32", (2,)), {"x": "pixels"})
    assert tensors is not None
    assert [[1.0, 2.0]] == tensors["x"].tolist()


def test_more_numbers_than_a_piece_are_packed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_PIECE", 3)
    values = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]
    tensors = columns.encode_all([{"x": value} for value in values], model("FP32", (2,)), {})
    assert tensors is not None
    assert values == tensors["x"].tolist()
