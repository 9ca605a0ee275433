"""Shards cover an input exactly once, whatever stands in it, however it is packed, in whatever order they are read."""

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from millrace_contracts.inputs import ClaimInput, Compression, Reading, RecordFormat
from millrace_contracts.results import RecordFailure
from millrace_worker.errors import InputHasNoRecords
from millrace_worker.input import index, lines
from millrace_worker.input.index import index_input, shard_at
from millrace_worker.input.read import read_shard
from millrace_worker.input.record import Record
from millrace_worker.input.sources import Sources
from millrace_worker.storage.claims import Claims

KINDS_OF_LINES = [
    b"",
    b"  ",
    b"\t\r",
    b"\r",
    b"{}",
    b'{"a": 1}',
    b"not json",
    b"[]",
    b"\xff",
    '{"k": "\u00e9"}'.encode(),
]
KINDS_OF_LINES += [b'{"a": 12345678901234567890123}', b' {"a": [1, 2.5]}\r']
LINES = st.lists(st.sampled_from(KINDS_OF_LINES), max_size=40)
CELLS = st.sampled_from(["", "1", "-2.5", "true", "null", "[1, 2]", "a", 'say "hi"', "two\nlines", "x,y", "007", " 5"])
SIZES = st.integers(1, 9)
PACKINGS = st.sampled_from([Compression.NONE, Compression.GZIP, Compression.ZSTD])


def packed(content: bytes, compression: Compression, *, pieces: int) -> bytes:
    """Pack content as several members or frames."""
    if compression is Compression.NONE:
        return content
    step = max(1, -(-len(content) // pieces))
    parts = [content[i : i + step] for i in range(0, len(content), step)] or [b""]
    pack: Callable[[bytes], bytes] = (
        gzip.compress if compression is Compression.GZIP else lambda part: pa.compress(part, "zstd", asbytes=True)
    )
    return b"".join(map(pack, parts))


def read_all(folder: Path, size: int, reading: Reading, *, seed: int = 0) -> list[Record | RecordFailure]:
    """Plan all files of the claim "data", read the shards in any order, and answer what they hold in their own."""
    sources = Sources(Claims(folder))
    try:
        found = index_input(ClaimInput(claim_name="data", path="."), reading, records_per_task=size, sources=sources)
    except InputHasNoRecords:
        return []
    shards = [shard_at(i, extent, files=found.files) for i, extent in enumerate(found.extents)]
    assert found.record_total == sum(shard.record_count for shard in shards)
    assert all(1 <= shard.record_count <= size for shard in shards)
    order = list(shards)
    random.Random(seed).shuffle(order)
    read = {shard.index: read_shard(shard, reading, sources=sources) for shard in order}
    sources.close()
    return [record for _, records in sorted(read.items()) for record in records]


def outcome(records: Sequence[Record | RecordFailure]) -> list[tuple[str, Any]]:
    """Answer the position of each record, with its value where it is usable."""
    return [(record.key, record.value if isinstance(record, Record) else None) for record in records]


@given(
    content=LINES,
    size=SIZES,
    packing=PACKINGS,
    pieces=st.integers(1, 4),
    end=st.sampled_from([b"", b"\n"]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_every_line_that_is_not_blank_is_read_once_under_its_own_number(
    *, content: list[bytes], size: int, packing: Compression, pieces: int, end: bytes, seed: int
) -> None:
    expected = []
    for number, line in enumerate(content, start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError:
                value = None
            expected.append((f"in:{number}", value if isinstance(value, dict) else None))
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "in").write_bytes(packed(b"\n".join(content) + end, packing, pieces=pieces))
        found = read_all(Path(folder), size, Reading(compression=packing), seed=seed)
    assert expected == outcome(found)


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=30),
    size=SIZES,
    packing=PACKINGS,
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_every_row_of_csv_is_read_once_also_with_line_ends_in_its_cells(
    *, rows: list[list[str]], size: int, packing: Compression, line_end: str, mark: str, quoting: Any, seed: int
) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator=line_end, quoting=quoting)
    writer.writerows([["a", "b", "c d"], *rows])
    expected, line = [], 2
    for row in rows:
        values = {name: cell_value(cell) for name, cell in zip(("a", "b", "c d"), row, strict=True) if cell}
        expected.append((f"in.csv:{line}", values))
        line += 1 + "".join(row).count("\n")
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        content = packed((mark + written.getvalue()).encode(), packing, pieces=2)
        (Path(folder) / "data" / "in.csv").write_bytes(content)
        found = read_all(Path(folder), size, Reading(format=RecordFormat.CSV, compression=packing), seed=seed)
    assert expected == outcome(found)


def cell_value(cell: str) -> Any:
    return {"1": 1, "-2.5": -2.5, "true": True, "null": None, "[1, 2]": [1, 2], " 5": 5}.get(cell, cell)


VALUES = st.one_of(st.none(), st.integers(-9, 9))


@given(
    rows=st.lists(st.tuples(VALUES, st.lists(st.floats(0, 1), max_size=3), st.text(max_size=3)), max_size=40),
    size=SIZES,
    group=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_every_row_of_parquet_is_read_once_across_row_groups(
    *, rows: list[tuple[int | None, list[float], str]], size: int, group: int, seed: int
) -> None:
    expected = [{"a": a, "b": b, "c": c} for a, b, c in rows]
    schema = pa.schema({"a": pa.int32(), "b": pa.list_(pa.float64()), "c": pa.string()})
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        table = pa.Table.from_pylist(expected, schema=schema)
        parquet.write_table(table, Path(folder) / "data" / "in.parquet", row_group_size=group)
        found = read_all(Path(folder), size, Reading(format=RecordFormat.PARQUET), seed=seed)
    assert [(f"in.parquet:{i}", value) for i, value in enumerate(expected, start=1)] == outcome(found)


@given(counts=st.lists(st.integers(0, 7), min_size=1, max_size=6), size=SIZES)
@settings(max_examples=40)
def test_a_shard_never_spans_two_files(counts: list[int], size: int) -> None:
    with TemporaryDirectory() as folder:
        for number, count in enumerate(counts):
            (Path(folder) / "data" / f"{number}").mkdir(parents=True)
            content = "".join(f'{{"x": {i}}}\n' for i in range(count))
            (Path(folder) / "data" / f"{number}" / "part.jsonl").write_text(content)
        found = read_all(Path(folder), size, Reading())
    assert [f"{n}/part.jsonl:{i + 1}" for n, count in enumerate(counts) for i in range(count)] == [
        record.key for record in found
    ]


@given(
    text=st.text(alphabet='ab",\n\r \t', max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=8),
    quoted=st.booleans(),
)
def test_what_a_record_is_does_not_depend_on_how_a_file_comes_in_pieces(
    text: str,
    cuts: list[int],
    quoted: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    def spans(pieces: list[bytes]) -> list[tuple[int, ...]]:
        scanner = lines.QuotedScanner(delimiter=",") if quoted else lines.Scanner()
        batches = [*(scanner.feed(piece) for piece in pieces), scanner.finish()]
        return [span for batch in batches for span in zip(*(part.tolist() for part in batch), strict=True)]

    content = text.encode()
    places = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    pieces = [content[a:b] for a, b in pairwise(places)]
    assert spans([content]) == spans(pieces)


def test_a_shard_holds_no_more_bytes_than_a_worker_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MAX_SHARD_BYTES", 30)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.jsonl").write_text('{"a":1}\n' * 4 + '{"a":"%s"}\n' % ("x" * 50) + '{"a":1}\n')
    source = ClaimInput(claim_name="data", path="in.jsonl")
    found = index_input(source, Reading(), records_per_task=100, sources=Sources(Claims(tmp_path)))
    assert [(3, 24), (1, 8), (1, 59), (1, 8)] == [(extent.record_count, extent.length) for extent in found.extents]
