"""Records become requests: each record is in exactly one, or refused once."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_contracts.inputs import TensorMapping
from millrace_worker.errors import ModelUnsuitable
from millrace_worker.inference.blocks import Encoding, blocks_of, blocks_of_columns
from millrace_worker.inference.model import ModelSignature, TensorSpec
from millrace_worker.input.record import Record

VALUES = st.one_of(
    st.lists(st.integers(0, 9), min_size=1, max_size=3), st.just("text"), st.just(None), st.just([1, "a"])
)


def signature(*, dims: tuple[int, ...] = (-1,), max_batch_size: int = 8) -> ModelSignature:
    inputs = (TensorSpec(name="x", datatype="FP32", dims=dims),)
    return ModelSignature(name="m", requested_version="", inputs=inputs, max_batch_size=max_batch_size)


@settings(max_examples=200)
@given(values=st.lists(VALUES, max_size=30), rows=st.integers(1, 8), batches=st.booleans())
def test_each_record_is_in_one_block_with_its_own_numbers_or_refused(
    values: list[Any], rows: int, *, batches: bool
) -> None:
    encoding = Encoding(signature=signature(max_batch_size=8 if batches else 0), rows=rows if batches else 1)
    refused: dict[int, str] = {}
    records = [(i, Record(str(i), i + 1, {"x": value})) for i, value in enumerate(values)]
    blocks = list(blocks_of(records, encoding, refuse=refused.__setitem__))
    sent = list(itertools.chain.from_iterable(blocks))
    assert list(range(len(values))) == sorted([*sent, *refused])
    assert {i for i, value in enumerate(values) if not isinstance(value, list) or "a" in value} == set(refused)
    for block in blocks:
        assert len(block) <= rows
        for row, position in zip(block.tensors["x"] if batches else [block.tensors["x"]], block, strict=True):
            assert values[position] == row.tolist()


def test_a_block_is_cut_with_its_tensors() -> None:
    blocks = blocks_of_columns({"x": np.arange(8.0).reshape(4, 2)}, Encoding(signature=signature(), rows=8), count=4)
    assert blocks is not None
    (block,) = blocks
    half = block[2:]
    assert [2, 3] == list(half)
    assert [[4.0, 5.0], [6.0, 7.0]] == half.tensors["x"].tolist()


def test_a_mapping_to_a_tensor_that_the_model_has_not_is_told() -> None:
    mapping = [TensorMapping(tensor="image", field="pixels")]
    with pytest.raises(ModelUnsuitable, match="has x"):
        Encoding(signature=signature(), rows=8, mapping=mapping)


def test_the_fields_that_are_text_are_those_of_tensors_of_bytes_that_one_value_fills() -> None:
    dims = {"name": (1,), "words": (-1,), "pair": (2,), "table": (-1, 2)}
    inputs = tuple(TensorSpec(name=name, datatype="BYTES", dims=dims[name]) for name in dims)
    number = TensorSpec(name="x", datatype="FP32", dims=(1,))
    model = ModelSignature(name="m", requested_version="", inputs=(*inputs, number), max_batch_size=8)
    encoding = Encoding(signature=model, rows=8, mapping=[TensorMapping(tensor="name", field="title")])
    assert {"title", "words"} == encoding.text_fields


@pytest.mark.parametrize("rows", [[[float("nan")], [1.0]], [[float("nan")], [1.0, 2.0]]], ids=["alike", "unlike"])
def test_nan_is_refused_unless_the_source_can_say_it(rows: list[list[float]]) -> None:
    records = [(i, Record(str(i), i + 1, {"x": row})) for i, row in enumerate(rows)]
    refused: dict[int, str] = {}
    for takes, expected in ((True, {}), (False, {0: '"x" holds NaN, which JSON does not know'})):
        encoding = Encoding(signature=signature(), rows=8, takes_nonfinite=takes)
        assert 2 - len(expected) == sum(map(len, blocks_of(records, encoding, refuse=refused.__setitem__)))
        assert expected == refused


def test_a_mapped_tensor_takes_its_field_whichever_way_it_is_encoded() -> None:
    mapping = [TensorMapping(tensor="x", field="pixels")]
    encoding = Encoding(signature=signature(dims=(1,)), rows=8, mapping=mapping)
    records = [(0, Record("a", 1, {"pixels": [5], "x": "label"})), (1, Record("b", 2, {"pixels": 6}))]
    blocks = blocks_of(records, encoding, refuse=lambda *_: pytest.fail("refused"))
    assert [5.0, 6.0] == [row for block in blocks for row in block.tensors["x"].ravel().tolist()]
