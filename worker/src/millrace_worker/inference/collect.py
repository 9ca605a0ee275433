"""Answers of many requests put together to the results of a shard, as columns wherever they fit side by side."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from millrace_contracts.results import RecordFailure
from millrace_worker.inference.blocks import Block
from millrace_worker.inference.model import Answer, Array
from millrace_worker.inference.predict import Answered
from millrace_worker.input.columns import ColumnBatch
from millrace_worker.input.record import Record
from millrace_worker.storage.outcome import Result, ResultColumns, Results

Given = Sequence[Record | RecordFailure] | ColumnBatch
"""The records of a shard as they were read."""

Answers = Sequence[Answered[Block, Answer]]


@dataclass(slots=True, kw_only=True)
class Collected:
    """Puts the answers of a shard together; the text of each can be made while others are awaited."""

    given: Given
    batches: bool
    with_input: bool = False
    write: Callable[[ResultColumns], bytes] | None = None
    """Makes the text of results; None where nobody wants it."""
    places: list[Array] = field(default_factory=list)
    """Which records the first answers are of."""
    texts: list[bytes] = field(default_factory=list)

    def use(self, one: Answered[Block, Answer]) -> None:
        """Make of the next answer what can be made without the others."""
        positions = np.asarray(one.batch.positions, dtype=np.int64)
        self.places.append(positions)
        if self.write is not None:
            columns = dict(_with_batch_axis(one.answer, batches=self.batches))
            self.texts.append(self.write(_columns(positions, columns, given=self.given, with_input=self.with_input)))

    def results_of(self, answers: Answers, known: Mapping[int, Mapping[str, Any]]) -> Results:
        """Answer the results in input order: `answers` of the model, and outputs that were `known` without it."""
        if not known and answers:
            columns = _side_by_side([_with_batch_axis(one.answer, batches=self.batches) for one in answers])
            if columns is not None:
                for one in answers[len(self.places) :]:
                    self.use(one)
                positions = np.concatenate(self.places)
                whole = _columns(positions, columns, given=self.given, with_input=self.with_input)
                return replace(whole, text=self._text())
        rows = {**known, **dict(_rows(answers, batches=self.batches))}
        results = []
        for position in sorted(rows):
            record = record_of(self.given, position)
            shown = record.value if self.with_input else None
            results.append(Result(record.key, record.line, rows[position], shown))
        return results

    def _text(self) -> list[bytes] | None:
        """Answer the texts in input order; None where a record of one answer stands between those of another."""
        if self.write is None:
            return None
        ordered = sorted(zip(self.places, self.texts, strict=True), key=lambda pair: int(pair[0][0]))
        is_apart = (np.diff(np.concatenate([positions for positions, _ in ordered])) > 0).all()
        return [text for _, text in ordered] if is_apart else None


def record_of(given: Given, position: int) -> Record:
    """Answer a record that could be read."""
    record = given.record_at(position) if isinstance(given, ColumnBatch) else given[position]
    if not isinstance(record, Record):
        raise TypeError(f"record {position} failed when it was read")
    return record


def _columns(positions: Array, columns: dict[str, Array], *, given: Given, with_input: bool) -> ResultColumns:
    if (np.diff(positions) < 0).any():
        order = np.argsort(positions)
        positions = positions[order]
        columns = {name: column[order] for name, column in columns.items()}
    first, last = int(positions[0]), int(positions[-1])
    # Nearly always nothing is missing in between, and a slice costs no step for each record.
    part = slice(first, last + 1) if last - first == len(positions) - 1 else None
    if isinstance(given, ColumnBatch) and not with_input:
        keys: Sequence[str] = given.keys[part] if part else [given.keys[i] for i in positions]
        lines = given.lines[part] if part else [given.lines[i] for i in positions]
        return ResultColumns(keys=keys, lines=lines, outputs=columns)
    chosen: Any = given[part] if part and not isinstance(given, ColumnBatch) else None
    records: Sequence[Record] = chosen or [record_of(given, position) for position in positions.tolist()]
    return ResultColumns(
        keys=[record.key for record in records],
        lines=[record.line for record in records],
        outputs=columns,
        inputs=[record.value for record in records] if with_input else None,
    )


def _side_by_side(answers: Sequence[Mapping[str, Array]]) -> dict[str, Array] | None:
    """Put the outputs of all requests one below the other; None where their names, types or shapes differ."""
    forms = {tuple((name, column.dtype.str, column.shape[1:]) for name, column in one.items()) for one in answers}
    if len(forms) != 1:
        return None
    return {name: np.concatenate([one[name] for one in answers]) for name in answers[0]}


def _with_batch_axis(answer: Answer, *, batches: bool) -> Mapping[str, Array]:
    return answer.outputs if batches else {name: np.asarray(row)[None] for name, row in answer.outputs.items()}


def _rows(answers: Answers, *, batches: bool) -> Iterable[tuple[int, dict[str, Any]]]:
    for one in answers:
        outputs = _with_batch_axis(one.answer, batches=batches)
        for i, position in enumerate(one.batch):
            yield position, {name: column[i] for name, column in outputs.items()}
