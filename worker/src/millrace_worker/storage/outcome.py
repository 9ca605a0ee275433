"""Results on their way from the model to where they are written.

Two forms: one tuple a record, which suits records that came one by one, and columns, which are what the model answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from millrace_contracts.results import RecordResult

Array = npt.NDArray[Any]


class Result(NamedTuple):
    """One succeeded record; its outputs are JSON values or numpy arrays without batch axis."""

    key: str
    line: int
    outputs: Mapping[str, Any]
    input: Any = None
    """The record as it was read, where the job joins it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultColumns:
    """Succeeded records side by side: the first axis of each output is the record."""

    keys: Sequence[str]
    lines: Sequence[int] | Array
    outputs: Mapping[str, Array]
    inputs: Sequence[Any] | None = None
    """The records as they were read, where the job joins them."""
    text: Sequence[bytes] | None = None
    """All lines of them, in input order and with the join of the job, where those were made before all were there."""

    def __post_init__(self) -> None:
        lengths = {len(self.keys), len(self.lines), *map(len, self.outputs.values())}
        if self.inputs is not None:
            lengths.add(len(self.inputs))
        if len(lengths) != 1:
            raise ValueError(f"columns of one shard have the lengths {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Result]:
        names = tuple(self.outputs)
        rows = zip(*self.outputs.values(), strict=True) if names else iter([()] * len(self))
        inputs = self.inputs if self.inputs is not None else [None] * len(self)
        lines = np.asarray(self.lines).tolist()
        for key, line, row, given in zip(self.keys, lines, rows, inputs, strict=True):
            yield Result(key, line, dict(zip(names, row, strict=True)), given)

    def in_input_order(self) -> "ResultColumns":
        """Answer the same records by their lines."""
        lines = np.asarray(self.lines, dtype=np.int64)
        if bool((np.diff(lines) >= 0).all()):
            return self
        order = np.argsort(lines, kind="stable")
        return ResultColumns(
            keys=[self.keys[i] for i in order],
            lines=lines[order],
            outputs={name: column[order] for name, column in self.outputs.items()},
            inputs=None if self.inputs is None else [self.inputs[i] for i in order],
        )


Results = Sequence[Result | RecordResult] | ResultColumns


def in_input_order(results: Results) -> ResultColumns | Sequence[Result | RecordResult]:
    """Answer results by their lines, in the form in which they came."""
    if isinstance(results, ResultColumns):
        return results.in_input_order()
    return sorted(results, key=attrgetter("line"))
