"""Files of every format, damaged at random: an error is one of ours and names the file, or concerns single records."""

import gzip
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import ClaimInput, Compression, Reading, RecordFormat
from millrace_contracts.results import RecordFailure
from millrace_worker.errors import InputHasNoRecords, InputUnusable
from millrace_worker.input.index import index_input, shard_at
from millrace_worker.input.read import read_shard
from millrace_worker.input.record import Record
from millrace_worker.input.sources import Sources
from millrace_worker.storage.claims import Claims

PIECES = [b'"', b"\n", b"\r\n", b",", b"{", b"}", b"[", b"]", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b"1e999", b"NaN"]
PIECES += [b"9" * 30, b"[" * 80, b"", b" ", b":", b"\\", b"\xc3", b"-", b"\x1f\x8b", b"PAR1", b"\x28\xb5\x2f\xfd"]


def jsonl_file(random: random.Random) -> bytes:
    records = [{"id": i, "x": [random.random(), 1, None], "text": 'a "b" \u00e9'} for i in range(random.randint(0, 5))]
    return "\n".join(json.dumps(record, ensure_ascii=random.random() < 0.5) for record in records).encode()


def csv_file(random: random.Random) -> bytes:
    rows = [f'{i},{random.random()},"a ""b"",\n{i}"' for i in range(random.randint(0, 5))]
    return "\r\n".join(["id,x,text", *rows]).encode()


def parquet_file(random: random.Random) -> bytes:
    count = random.randint(0, 5)
    table = pa.table(
        {
            "id": range(count),
            "x": [[random.random()] * (i % 3) for i in range(count)],
            "t": ["\u00e9" * i for i in range(count)],
        },
        schema=pa.schema({"id": pa.int64(), "x": pa.list_(pa.float32()), "t": pa.string()}),
    )
    written = pa.BufferOutputStream()
    options = {"compression": random.choice(["none", "snappy", "zstd"]), "use_dictionary": random.random() < 0.5}
    parquet.write_table(table, written, row_group_size=2, write_page_checksum=random.random() < 0.5, **options)
    return bytes(written.getvalue())


def damaged(content: bytes, random: random.Random) -> bytes:
    """Change some bytes: replaced, inserted, cut out, cut off, or put in twice."""
    for _ in range(random.randint(1, 4)):
        at, to = sorted(random.randrange(len(content) + 1) for _ in range(2))
        match random.randrange(6):
            case 0:
                content = content[:at] + random.randbytes(1) + content[at + 1 :]
            case 1:
                content = content[:at] + random.choice(PIECES) + content[at:]
            case 2:
                content = content[:at] + content[min(to, at + 9) :]
            case 3:
                content = content[:at]
            case 4:
                content = content[:to] + content[at:]
            case _:
                content = content[:at] + random.randbytes(4) + content[at + 4 :]
    return content


def packed(content: bytes, compression: Compression) -> bytes:
    match compression:
        case Compression.GZIP:
            return gzip.compress(content, 1)
        case Compression.ZSTD:
            return bytes(pa.compress(content, "zstd", asbytes=True))
        case _:
            return content


CASES = [
    (RecordFormat.JSONL, Compression.NONE, jsonl_file, 2500),
    (RecordFormat.CSV, Compression.NONE, csv_file, 2500),
    (RecordFormat.PARQUET, Compression.NONE, parquet_file, 3000),
    (RecordFormat.JSONL, Compression.GZIP, jsonl_file, 1000),
    (RecordFormat.CSV, Compression.ZSTD, csv_file, 1000),
]


@pytest.mark.parametrize(("form", "packing", "make", "count"), CASES)
def test_a_malformed_file_gives_an_error_that_names_its_place_or_fails_single_records(
    tmp_path: Path, form: RecordFormat, packing: Compression, make: Callable[[random.Random], bytes], count: int
) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "damaged"
    reading = Reading(format=form, compression=packing)
    for case in range(count):
        chance = random.Random(f"{form} {packing} {case}")
        content = packed(make(chance), packing)
        # The packing of some is whole, so that what is in it is damaged.
        is_inside = packing is not Compression.NONE and case % 2
        file.write_bytes(packed(damaged(make(chance), chance), packing) if is_inside else damaged(content, chance))
        sources = Sources(Claims(tmp_path))
        try:
            found = index_input(
                ClaimInput(claim_name="data", path="damaged"), reading, records_per_task=2, sources=sources
            )
            shards = [shard_at(i, extent, files=found.files) for i, extent in enumerate(found.extents)]
            records = [record for shard in shards for record in read_shard(shard, reading, sources=sources)]
        except (InputUnusable, InputHasNoRecords) as error:
            check_words(str(error))
            continue
        finally:
            sources.close()
        assert found.record_total == len(records), case
        for record in records:
            assert is_whole(record), (case, record)


def check_words(error: str) -> None:
    """See that an error names the file and what to do."""
    assert '"damaged" on claim "data"' in error
    assert re.search("; (write|correct|put|the first line)", error), error


def is_whole(record: Record | RecordFailure) -> bool:
    """Say whether a record is usable, or says why not and where it stood."""
    if isinstance(record, Record):
        return record.key == f"damaged:{record.line}"
    assert record.error.code in {RecordError.MALFORMED_JSON, RecordError.MALFORMED_ROW}
    return record.key == f"damaged:{record.line}" and bool(record.error.message) and bool(record.model_dump_json())
