"""What becomes of each record of a shard."""

# ruff: noqa: D102 - the stand-in has the method of what it stands for

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_contracts.errors import RecordError
from millrace_contracts.outputs import OutputJoin
from millrace_contracts.results import ErrorDetail, RecordFailure
from millrace_worker.errors import BatchFailed, BatchRejected
from millrace_worker.inference.blocks import Block, Encoding
from millrace_worker.inference.collect import Given
from millrace_worker.inference.model import Answer, ModelSignature, TensorSpec
from millrace_worker.inference.predict import Limits
from millrace_worker.inference.retry_policy import Pace
from millrace_worker.inference.shard import ShardOutcome, Work, compute
from millrace_worker.input.columns import ColumnBatch
from millrace_worker.input.record import Record, fail
from millrace_worker.storage.json_lines import result_text
from millrace_worker.storage.outcome import ResultColumns

BAD = 66.0
BROKEN = 77.0
LIMITS = Limits(requests_in_flight=3, retries_per_record=1)
PACE = Pace(first_pause_seconds=0.0001, longest_pause_seconds=0.001, patience_seconds=0.05)


def signature(*, max_batch_size: int = 8) -> ModelSignature:
    inputs = (TensorSpec(name="x", datatype="FP32", dims=(-1,)),)
    return ModelSignature(name="m", requested_version="", inputs=inputs, max_batch_size=max_batch_size)


@dataclass
class Model:
    """Doubles its input; refuses and fails on two numbers."""

    sent: list[list[int]] = field(default_factory=list)

    def send(self, block: Block) -> Answer:
        self.sent.append(list(block))
        x = block.tensors["x"]
        if (x == BAD).any():
            raise BatchRejected("bad")
        if (x == BROKEN).any():
            raise BatchFailed("broken")
        return Answer({"y": x * 2}, "3")


def failed(line: int) -> RecordFailure:
    detail = ErrorDetail(code=RecordError.MALFORMED_JSON, message="no JSON")
    return RecordFailure(key=str(line), line=line, error=detail, input="{")


def given_of(values: list[Any]) -> Given:
    return [failed(i + 1) if value is None else Record(str(i), i + 1, {"x": value}) for i, value in enumerate(values)]


def work_of(given: Given, *, rows: int = 4, batches: bool = True) -> Work:
    return Work(given=given, encoding=Encoding(signature=signature(max_batch_size=8 if batches else 0), rows=rows))


def outcome_of(work: Work, model: Model | None = None) -> ShardOutcome:
    outcome, _ = compute(work, send=(model or Model()).send, limits=LIMITS, pace=PACE, check=lambda: None)
    return outcome


def outputs_of(outcome: ShardOutcome) -> dict[str, list[float]]:
    return {result.key: np.asarray(result.outputs["y"]).tolist() for result in outcome.results}


VALUES = st.one_of(
    st.lists(st.integers(0, 9), min_size=1, max_size=2),
    st.sampled_from([None, "text", [BAD], [BROKEN]]),
)


@settings(max_examples=100)
@given(values=st.lists(VALUES, max_size=20), rows=st.integers(1, 8), batches=st.booleans())
def test_every_record_has_one_outcome_and_its_own(values: list[Any], rows: int, *, batches: bool) -> None:
    outcome = outcome_of(work_of(given_of(values), rows=rows if batches else 1, batches=batches))
    codes = {None: "MalformedJSON", "text": "InvalidRecord", BAD: "RejectedByModel", BROKEN: "InferenceFailed"}
    bad = {i: codes[v[0] if isinstance(v, list) else v] for i, v in enumerate(values) if _is_bad(v)}
    assert bad == {i: str(one.error.code) for i, one in outcome.failed.items()}
    good = {str(i): [2.0 * x for x in v] for i, v in enumerate(values) if not _is_bad(v)}
    assert good == outputs_of(outcome)
    assert len(good) == outcome.succeeded
    assert sorted(result.line for result in outcome.results) == [result.line for result in outcome.results]


@settings(max_examples=100)
@given(values=st.lists(VALUES, max_size=20), rows=st.integers(1, 8), batches=st.booleans())
def test_text_that_is_made_while_answers_are_awaited_is_that_of_all_results(
    values: list[Any], rows: int, *, batches: bool
) -> None:
    work = work_of(given_of(values), rows=rows if batches else 1, batches=batches)
    at_the_end = outcome_of(work).results
    meanwhile = outcome_of(replace(work, write=lambda results: result_text(results, OutputJoin.KEY))).results
    assert result_text(at_the_end, OutputJoin.KEY) == result_text(meanwhile, OutputJoin.KEY)


def test_text_of_records_that_fit_is_made_answer_by_answer() -> None:
    made: list[int] = []

    def write(results: ResultColumns) -> bytes:
        made.append(len(results))
        return result_text(results, OutputJoin.INPUT)

    work = replace(work_of(given_of([[i] for i in range(10)])), write=write, with_input=True)
    results = outcome_of(work).results
    assert isinstance(results, ResultColumns)
    assert ([2, 4, 4], 3) == (sorted(made), len(results.text or ()))


def _is_bad(value: Any) -> bool:
    return value in (None, "text", [BAD], [BROKEN])


def test_results_of_equal_form_are_columns() -> None:
    outcome = outcome_of(work_of(given_of([[i, 0] for i in range(10)])))
    assert isinstance(outcome.results, ResultColumns)
    assert [f"{i}" for i in range(10)] == list(outcome.results.keys)


def test_columns_of_a_file_give_the_same_as_their_records() -> None:
    values = [[1.0, 2.0], [BAD, 0.0], [3.0, 4.0], [5.0, 6.0], [BROKEN, 1.0]]
    keys = [str(i) for i in range(5)]
    batch = ColumnBatch(
        keys=keys, lines=range(1, 6), columns={"x": np.array(values)}, value_at=lambda i: {"x": values[i]}
    )
    by_column, by_record = outcome_of(work_of(batch)), outcome_of(work_of(given_of(values)))
    assert outputs_of(by_record) == outputs_of(by_column)
    assert by_record.failed == by_column.failed


def test_what_is_known_is_not_computed() -> None:
    model = Model()
    outcome = outcome_of(replace(work_of(given_of([[1], [2], [3]])), known={1: {"y": [4.0]}}), model)
    assert {"0": [2.0], "1": [4.0], "2": [6.0]} == outputs_of(outcome)
    assert (3, 1) == (outcome.succeeded, outcome.cached)
    assert 1 not in {i for sent in model.sent for i in sent}


def test_what_is_set_aside_is_not_sent_and_what_is_suspected_goes_alone_and_first() -> None:
    model, given = Model(), given_of([[i] for i in range(6)])
    poison = fail(Record("2", 3, {"x": [2]}), RecordError.POISON_MESSAGE, "it ends workers")
    work = replace(work_of(given), set_aside={2: poison}, alone=(4, 1))
    outcome, _ = compute(
        work, send=model.send, limits=replace(LIMITS, requests_in_flight=1), pace=PACE, check=lambda: None
    )
    assert [[4], [1], [0, 3, 5]] == model.sent
    assert [(2, poison)] == outcome.poisonous
    assert {"0", "1", "3", "4", "5"} == set(outputs_of(outcome))


def test_without_a_model_records_are_checked_and_counted() -> None:
    outcome, _ = compute(
        work_of(given_of([[1], "text", None, [2]])), send=None, limits=LIMITS, pace=PACE, check=lambda: None
    )
    assert (2, 0) == (outcome.succeeded, len(outcome.results))
    assert {1, 2} == set(outcome.failed)


def test_the_input_stands_beside_the_outputs_where_it_is_wanted() -> None:
    outcome = outcome_of(replace(work_of(given_of([[1], [2]])), with_input=True))
    assert [{"x": [1]}, {"x": [2]}] == [result.input for result in outcome.results]


def test_what_the_model_never_saw_ends_the_shard() -> None:
    def send(_: Block) -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compute(work_of(given_of([[1]])), send=send, limits=LIMITS, pace=PACE, check=lambda: None)
