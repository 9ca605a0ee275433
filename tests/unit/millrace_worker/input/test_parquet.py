"""Parquet: what columns stand for, as values and as arrays."""

import datetime as dt
import decimal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from millrace_contracts.inputs import ClaimInput, Reading, RecordFormat, Shard
from millrace_contracts.results import RecordFailure
from millrace_worker.errors import InputUnusable
from millrace_worker.input.index import index_input, shard_at
from millrace_worker.input.read import read_columns, read_shard
from millrace_worker.input.record import Record
from millrace_worker.input.sources import Sources
from millrace_worker.storage.claims import Claims

PARQUET = Reading(format=RecordFormat.PARQUET)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "data").mkdir()
    return Sources(Claims(tmp_path))


def shards(table: pa.Table, sources: Sources, tmp_path: Path, size: int = 100, **options: Any) -> list[Shard]:
    parquet.write_table(table, tmp_path / "data" / "in.parquet", **options)
    source = ClaimInput(claim_name="data", path="in.parquet")
    found = index_input(source, PARQUET, records_per_task=size, sources=sources)
    return [shard_at(i, extent, files=found.files) for i, extent in enumerate(found.extents)]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([1, None], pa.uint8()), [1, None]),
        (pa.array([[[1.5], [2.5]], []], pa.list_(pa.list_(pa.float32()))), [[[1.5], [2.5]], []]),
        (pa.array([[1, 2], [3, 4]], pa.list_(pa.int16(), 2)), [[1, 2], [3, 4]]),
        (pa.array([b"text", b"\xff"], pa.binary()), ["text", {"b64": "/w=="}]),
        (pa.array([dt.date(2026, 1, 2), None], pa.date32()), ["2026-01-02", None]),
        (pa.array([1_000_001, None], pa.timestamp("ns")), ["1970-01-01T00:00:00.001000", None]),
        (pa.array([[1_000_001], []], pa.list_(pa.timestamp("ns"))), [["1970-01-01T00:00:00.001000"], []]),
        (
            pa.array([{"at": 1_000_001}], pa.struct([("at", pa.timestamp("ns", "UTC"))])),
            [{"at": "1970-01-01T00:00:00.001000+00:00"}],
        ),
        (
            pa.array([[("at", 1_000_001)]], pa.map_(pa.string(), pa.timestamp("ns"))),
            [{"at": "1970-01-01T00:00:00.001000"}],
        ),
        (pa.array([1_500_000_001, None], pa.duration("ns")), [1.5, None]),
        (pa.array([decimal.Decimal("1.50"), decimal.Decimal(2)], pa.decimal128(5, 2)), [1.5, 2]),
        (pa.array([{"a": [1]}, {"a": None}]), [{"a": [1]}, {"a": None}]),
        (pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int8())), [{"k": 1}, {}]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([1.5, 2.5], pa.float16()), [1.5, 2.5]),
    ],
)
def test_a_value_is_read_as_what_json_can_say(
    sources: Sources, tmp_path: Path, column: pa.Array, values: Sequence[Any]
) -> None:
    (shard,) = shards(pa.table({"x": column}), sources, tmp_path)
    assert [{"x": value} for value in values] == [
        None if isinstance(record, RecordFailure) else record.value
        for record in read_shard(shard, PARQUET, sources=sources)
    ]


def test_a_value_that_cannot_be_read_fails_its_row_alone(sources: Sources, tmp_path: Path) -> None:
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff"))
    (shard,) = shards(pa.table({"n": [1, 2], "x": broken}), sources, tmp_path)
    good, bad = read_shard(shard, PARQUET, sources=sources)
    assert isinstance(bad, RecordFailure)
    assert ("in.parquet:1", "in.parquet:2", {"n": 2}) == (good.key, bad.key, bad.input)
    assert 'the value of column "x" cannot be read' in bad.error.message


def test_columns_are_arrays_whose_first_axis_is_the_record(sources: Sources, tmp_path: Path) -> None:
    table = pa.table(
        {"id": ["a", "b", "c"], "x": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "n": [1, 2, 3], "t": [1, None, 3]}
    )
    first, second = shards(table, sources, tmp_path, 2, row_group_size=1)
    reading = Reading(format=RecordFormat.PARQUET, key_field="id")
    batch = read_columns(first, reading, ["x", "n"], sources=sources)
    assert batch is not None
    assert [[1.0, 2.0], [3.0, 4.0]] == batch.columns["x"].tolist()
    assert (["a", "b"], [1, 2], [1, 2]) == (list(batch.keys), list(batch.lines), batch.columns["n"].tolist())
    assert read_shard(first, reading, sources=sources)[1] == batch.record_at(1)
    after = read_columns(second, PARQUET, ["n"], sources=sources)
    assert after is not None
    assert ["in.parquet:3"] == list(after.keys)


@pytest.mark.parametrize(
    "column",
    [[1, None], [[1], [1, 2]], ["a", "b"], [[1, None], [2, 3]]],
    ids=str,
)
def test_a_column_with_anything_unusual_is_left_to_whoever_looks_at_each_record(
    sources: Sources, tmp_path: Path, column: list[Any]
) -> None:
    (shard,) = shards(pa.table({"x": column, "key": ["same", "same"]}), sources, tmp_path)
    assert read_columns(shard, PARQUET, ["x"], sources=sources) is None
    assert read_columns(shard, PARQUET, ["absent"], sources=sources) is None
    twice = Reading(format=RecordFormat.PARQUET, key_field="key")
    assert read_columns(shard, twice, [], sources=sources) is None


@pytest.mark.parametrize(
    "keys", [["a", "ä"], [1, 2], [1.5, 2.5], [True, False], ["a", None], ["a", "a"], [[1], [2]]], ids=str
)
def test_columns_have_the_keys_that_each_record_would_have_or_are_not_read(
    sources: Sources, tmp_path: Path, keys: list[Any]
) -> None:
    (shard,) = shards(pa.table({"key": keys, "x": [1, 2]}), sources, tmp_path)
    reading = Reading(format=RecordFormat.PARQUET, key_field="key")
    batch = read_columns(shard, reading, ["x"], sources=sources)
    alone = [one.key for one in read_shard(shard, reading, sources=sources) if isinstance(one, Record)]
    assert (alone if len(alone) == len(keys) else None) == (list(batch.keys) if batch else None)


def test_nan_and_infinity_are_numbers_like_others(sources: Sources, tmp_path: Path) -> None:
    column = [[float("nan"), 1.0], [2.0, float("-inf")]]
    (shard,) = shards(pa.table({"x": column}), sources, tmp_path)
    batch = read_columns(shard, PARQUET, ["x"], sources=sources)
    assert batch is not None
    np.testing.assert_array_equal(column, batch.columns["x"])
    values = [record.value["x"] for record in read_shard(shard, PARQUET, sources=sources) if isinstance(record, Record)]
    np.testing.assert_array_equal(column, values)


def test_shards_in_order_unpack_each_row_group_once(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[list[int]] = []
    opened = parquet.ParquetFile.iter_batches

    def iter_batches(file: Any, **options: Any) -> Any:
        entered.append(options["row_groups"])
        return opened(file, **options)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", iter_batches)
    for shard in shards(pa.table({"x": range(30)}), sources, tmp_path, 4, row_group_size=10):
        read_shard(shard, PARQUET, sources=sources)
    assert [[0], [1], [2]] == entered


def test_two_columns_of_one_name_are_refused(sources: Sources, tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    with pytest.raises(
        InputUnusable, match=r'"in\.parquet" on claim "data" cannot be read: two columns have the name "x"'
    ):
        shards(table, sources, tmp_path)
