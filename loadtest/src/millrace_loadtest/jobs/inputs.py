"""Files of any number of records, written at the speed of the disk and with constant memory."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from millrace_loadtest.jobs.models import WIDTH

KEY_FIELD: Final = "id"
CHUNK: Final = 100_000
VARIANTS: Final = 997
"""Prime, so that neighbours and shards differ; records are to be told apart by their keys."""


def keys(count: int) -> Iterator[str]:
    """Answer the keys of so many records, in input order."""
    return (f"r{number:08d}" for number in range(count))


def values(width: int = WIDTH) -> list[list[float]]:
    """Answer the tensors that records take in turn."""
    drawn = np.random.default_rng(11).standard_normal((VARIANTS, width))
    return [[round(float(value), 4) for value in row] for row in drawn]


def write_jsonl(file: Path, count: int, *, width: int = WIDTH) -> None:
    """Write one JSON object a line, of some 90 bytes at the usual width."""
    endings = [f'","x":{row}}}\n'.replace(" ", "") for row in values(width)]
    numbered = enumerate(keys(count))
    with file.open("w", encoding="ascii") as stream:
        while part := list(islice(numbered, CHUNK)):
            stream.write("".join([f'{{"{KEY_FIELD}":"{key}{endings[number % VARIANTS]}' for number, key in part]))


def write_parquet(file: Path, count: int, *, width: int = WIDTH) -> None:
    """Write the same records as rows, in row groups of a hundred thousand."""
    drawn = np.array(values(width), dtype=np.float32)
    schema = pa.schema([(KEY_FIELD, pa.string()), ("x", pa.list_(pa.float32(), width))])
    with pq.ParquetWriter(file, schema) as writer:
        for first in range(0, count, CHUNK):
            numbers = np.arange(first, min(count, first + CHUNK))
            flat = pa.array(drawn[numbers % VARIANTS].reshape(-1))
            rows = pa.FixedSizeListArray.from_arrays(flat, width)
            names = pa.array([f"r{number:08d}" for number in numbers.tolist()])
            writer.write_table(pa.table([names, rows], schema=schema), row_group_size=CHUNK)
