"""Records as columns: what a columnar file gives without making an object of each value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from millrace_worker.input.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnBatch:
    """The records of a shard, all of them usable; the first axis of every column is the record."""

    keys: Sequence[str]
    lines: Sequence[int]
    columns: Mapping[str, npt.NDArray[Any]]
    value_at: Callable[[int], Mapping[str, Any]]
    """The whole record, as reading it alone would give it."""

    def __len__(self) -> int:
        """Count the records."""
        return len(self.keys)

    def record_at(self, position: int) -> Record:
        """Answer one record, for whoever must name it or show it."""
        return Record(self.keys[position], self.lines[position], self.value_at(position))
