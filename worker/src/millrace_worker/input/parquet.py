"""Parquet: one record a row. The index is the footer; a shard is a run of rows, across row groups.

A row group is unpacked from its front. The shards of a job come mostly in order, so the place where one ended is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from millrace_contracts.inputs import FileRef, FileShard
from millrace_contracts.nesting import MAX_NESTING
from millrace_worker.errors import InputUnusable, WorkerError
from millrace_worker.input.packing import first_line
from millrace_worker.input.sources import CursorKey, Sources
from millrace_worker.input.store import RangedFile, where_is

_BUFFER_BYTES: Final = 4 * 1024 * 1024
_BATCH_BYTES: Final = 16 * 1024 * 1024
_MAX_BATCH_ROWS: Final = 4096
_MIN_FILE_BYTES: Final = 12
"""Two marks and the length of a footer."""


class Footer:
    """What the end of a file says about its rows."""

    def __init__(self, metadata: Any, file: FileRef) -> None:
        self.metadata = metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        counts = [group.num_rows for group in groups]
        if any(count < 0 for count in counts) or sum(counts) != metadata.num_rows:
            raise InputUnusable(f"{where_is(file)} is not sound: its footer counts rows in two ways; write it anew")
        self.row_count: int = metadata.num_rows
        self.group_ends = [sum(counts[: i + 1]) for i in range(len(counts))]
        self.bytes_per_row = max(
            (max(1, group.total_byte_size // max(1, group.num_rows)) for group in groups), default=1
        )


class RowCursor:
    """A place between two rows of a file."""

    def __init__(self, file: FileRef, sources: Sources) -> None:
        self._file = file
        self._footer = footer_of(file, sources)
        self._opened = _opened(file, sources, self._footer.metadata)
        self._batch_rows = max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // self._footer.bytes_per_row))
        self._batches: Iterator[Any] = iter(())
        self._group = -1
        self._rest: Any = None
        self.position = 0

    def read(self, start: int, count: int) -> Any:
        """Answer a table of the rows from `start` on; `start` is not behind this place."""
        group = next((i for i, end in enumerate(self._footer.group_ends) if end > start), None)
        if group is not None and group != self._group:
            self._enter(group)
        found: list[Any] = []
        while count > 0 and self.position < self._footer.row_count:
            batch = self._next()
            skipped = min(batch.num_rows, max(0, start - self.position))
            taken = min(batch.num_rows - skipped, count)
            if taken:
                found.append(batch.slice(skipped, taken))
            self._rest = batch.slice(skipped + taken)
            self.position += skipped + taken
            count -= taken
        return pa.Table.from_batches(found, schema=None if found else self._opened.schema_arrow)

    def close(self) -> None:
        """Forget the file."""
        self._batches = iter(())
        self._rest = None

    def _enter(self, group: int) -> None:
        """Go to the first row of a row group; those before it are not unpacked."""
        self._group = group
        self.position = self._footer.group_ends[group - 1] if group else 0
        self._rest = None
        with arrow_errors(self._file, row=self.position + 1):
            self._batches = self._opened.iter_batches(
                batch_size=self._batch_rows, row_groups=[group], use_threads=False
            )

    def _next(self) -> Any:
        if self._rest is not None and self._rest.num_rows:
            return self._rest
        if self.position == self._footer.group_ends[self._group]:
            self._enter(next(i for i, end in enumerate(self._footer.group_ends) if end > self.position))
        with arrow_errors(self._file, row=self.position + 1):
            batch = next(self._batches, None)
        if batch is None or batch.num_rows == 0:
            raise InputUnusable(
                f"{where_is(self._file)} has no row {self.position + 1:,}, which its footer promises; write it anew"
            )
        return batch


def footer_of(file: FileRef, sources: Sources) -> Footer:
    """Read the footer, or say what is wrong with the file."""

    def read() -> Footer:
        opened = _opened(file, sources, None)
        with arrow_errors(file):
            _refuse_schema(opened.schema_arrow, file)
            return Footer(opened.metadata, file)

    return sources.remember(file, "footer", read)


def read_table(source: FileShard, sources: Sources) -> Any:
    """Answer the rows of a shard as a table of Arrow."""
    sources.store(source.file).see_that_it_is_the_same(source.file)
    return sources.with_cursor(
        CursorKey(source.file.uri, source.file.version, "rows"),
        position=source.offset,
        make=lambda: RowCursor(source.file, sources),
        use=lambda cursor: cursor.read(source.offset, source.length),
    )


@contextmanager
def arrow_errors(file: FileRef, *, row: int = 0) -> Iterator[None]:
    """Say what an error of Arrow means for the input of a job."""
    place = f" from row {row:,} on" if row else ""
    try:
        yield
    except WorkerError:
        # Our own, on its way through Arrow: the store's.
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, MemoryError, NotImplementedError) as error:
        raise InputUnusable(
            f"{where_is(file)} cannot be read as Parquet{place}: {first_line(error)}; write it anew, or correct format"
        ) from error


def _opened(file: FileRef, sources: Sources, metadata: Any) -> Any:
    store = sources.store(file)
    if not store.knows_ranges(file) or file.size_bytes is None:
        raise InputUnusable(
            f"{where_is(file)} cannot be read as Parquet: its server answers no Range requests, and the footer stands "
            "at the end; use a server that does, or JSONL or CSV"
        )
    if file.size_bytes < _MIN_FILE_BYTES:
        raise InputUnusable(f"{where_is(file)} is no Parquet file: it has only {file.size_bytes} bytes; correct format")
    with arrow_errors(file):
        return parquet.ParquetFile(
            pa.PythonFile(RangedFile(store, file, size_bytes=file.size_bytes), mode="r"),
            metadata=metadata,
            buffer_size=_BUFFER_BYTES,
            page_checksum_verification=True,
        )


def _refuse_schema(schema: Any, file: FileRef) -> None:
    names = schema.names
    problem = ""
    if not names:
        problem = "it has no columns"
    elif len(set(names)) != len(names):
        problem = f'two columns have the name "{next(name for name in names if names.count(name) > 1)}"'
    elif any(_depth(field.type) >= MAX_NESTING for field in schema):
        problem = f"a column is nested deeper than {MAX_NESTING} levels"
    if problem:
        raise InputUnusable(f"{where_is(file)} cannot be read: {problem}; write it anew")


def _depth(kind: Any) -> int:
    return 1 + max((_depth(kind.field(i).type) for i in range(kind.num_fields)), default=0)
