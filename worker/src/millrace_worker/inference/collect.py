"""Answers of many requests put together to the results of a shard, as columns wherever they fit side by side."""

from collections.abc import Iterable, Mapping, Sequence
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


def results_of(
    answers: Answers,
    known: Mapping[int, Mapping[str, Any]],
    *,
    given: Given,
    batches: bool,
    with_input: bool,
) -> Results:
    """Answer the results in input order: `answers` of the model, and outputs that were `known` without it."""
    if not known and answers:
        columns = _side_by_side([_with_batch_axis(one.answer, batches=batches) for one in answers])
        if columns is not None:
            positions = np.concatenate([np.asarray(one.batch.positions, dtype=np.int64) for one in answers])
            return _columns(positions, columns, given=given, with_input=with_input)
    rows = {**known, **dict(_rows(answers, batches=batches))}
    results = []
    for position in sorted(rows):
        record = record_of(given, position)
        results.append(Result(record.key, record.line, rows[position], record.value if with_input else None))
    return results


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
    is_whole = len(positions) == len(given)
    if isinstance(given, ColumnBatch) and not with_input:
        keys, lines = given.keys, given.lines
        if not is_whole:
            keys, lines = [keys[i] for i in positions], [lines[i] for i in positions]
        return ResultColumns(keys=keys, lines=lines, outputs=columns)
    chosen: Any = given if is_whole and not isinstance(given, ColumnBatch) else None
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
