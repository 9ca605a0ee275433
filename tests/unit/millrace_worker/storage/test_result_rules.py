"""Laws of writing: whatever a shard gave, each record can be read back exactly once."""

import base64
import io
import json
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millrace_contracts.errors import RecordError
from millrace_contracts.outputs import OutputJoin, ResultFormat, Writing
from millrace_contracts.results import ErrorDetail, RecordFailure
from millrace_contracts.tasks import JobRef
from millrace_worker.inference.model import TensorSpec
from millrace_worker.kafka_message import KafkaMessage, TooLarge
from millrace_worker.storage.claims import Claims
from millrace_worker.storage.file_results import FileResults
from millrace_worker.storage.folders import ClaimFolder
from millrace_worker.storage.kafka_results import KafkaResults
from millrace_worker.storage.outcome import Result, ResultColumns, Results
from millrace_worker.storage.parquet_rows import results_table

SPECS = (
    TensorSpec(name="scores", datatype="FP32", dims=(3,)),
    TensorSpec(name="label", datatype="INT64", dims=(1,)),
    TensorSpec(name="grid", datatype="FP64", dims=(-1, 2)),
    TensorSpec(name="word", datatype="BYTES", dims=(1,)),
)
floats = st.floats(width=32)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
records = st.fixed_dictionaries(
    {
        "scores": st.lists(floats, min_size=3, max_size=3),
        "label": st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=1),
        "grid": st.lists(st.lists(st.floats(), min_size=2, max_size=2), min_size=2, max_size=2),
        "word": st.lists(texts, min_size=1, max_size=1),
    }
)
inputs = st.dictionaries(texts, st.none() | st.integers() | texts | st.lists(st.booleans()), max_size=3)


@dataclass(frozen=True)
class Outcome:
    """What one shard gave: for each line its outputs, or None for a failure."""

    outputs: dict[int, dict[str, Any] | None]
    inputs: dict[int, Any]
    order: list[int]

    @property
    def failures(self) -> list[RecordFailure]:
        """The records that failed."""
        detail = ErrorDetail(code=RecordError.INFERENCE_FAILED, message="no")
        return [
            RecordFailure(key=f"k{line}", line=line, error=detail, input=self.inputs[line])
            for line in self.order
            if self.outputs[line] is None
        ]

    @property
    def good(self) -> list[tuple[int, dict[str, Any]]]:
        """Lines and outputs of the others."""
        found = ((line, self.outputs[line]) for line in self.order)
        return [(line, outputs) for line, outputs in found if outputs is not None]

    def results(self, form: str) -> Results:
        """Answer the others as the worker has them: as columns, or one by one as arrays or as lists."""
        if form == "columns":
            return ResultColumns(
                keys=[f"k{line}" for line, _ in self.good],
                lines=[line for line, _ in self.good],
                outputs={
                    spec.name: column([outputs[spec.name] for _, outputs in self.good], spec.name) for spec in SPECS
                },
                inputs=[self.inputs[line] for line, _ in self.good],
            )
        return [
            Result(f"k{line}", line, {spec.name: value(outputs[spec.name], spec.name, form) for spec in SPECS}, given)
            for line, outputs in self.good
            for given in [self.inputs[line]]
        ]


def value(value: Any, name: str, form: str) -> Any:
    return column([value], name)[0] if form == "arrays" else value


def column(values: list[Any], name: str) -> Any:
    dtype = {"scores": np.float32, "label": np.int64, "grid": np.float64, "word": object}[name]
    shape = {"scores": (3,), "label": (1,), "grid": (2, 2), "word": (1,)}[name]
    if name == "word":
        values = [[word.encode() for word in row] for row in values]
    return np.array(values, dtype=dtype).reshape(len(values), *shape)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcome:
    lines = draw(st.lists(st.integers(1, 10_000), unique=True, max_size=6))
    return Outcome(
        outputs={line: draw(records | st.none()) for line in lines},
        inputs={line: draw(inputs) for line in lines},
        order=lines,
    )


def finite(value: Any) -> Any:
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain(name: str, value: Any) -> Any:
    """Answer a column of one value a record as JSON has it."""
    return [value] if name in {"label", "word"} else finite(value)


def read_parts(folder: Path) -> Iterable[dict[str, Any]]:
    for file in folder.glob("part-*.jsonl"):
        yield from map(json.loads, file.read_text().split("\n")[:-1])
    for file in folder.glob("part-*.parquet"):
        for row in pq.read_table(io.BytesIO(file.read_bytes())).to_pylist():
            outputs = {spec.name: plain(spec.name, row[spec.name]) for spec in SPECS}
            own = {name: row[name] for name in ("key", "line") if name in row}
            yield own | {"outputs": outputs} | ({"input": json.loads(row["input"])} if "input" in row else {})


def narrowed(result: dict[str, Any]) -> dict[str, Any]:
    """Read 32-bit floats as such: they are written as short as that allows."""
    scores = [None if score is None else float(np.float32(score)) for score in result["outputs"]["scores"]]
    return result | {"outputs": result["outputs"] | {"scores": scores}}


def expected_results(outcome: Outcome, join: OutputJoin) -> list[dict[str, Any]]:
    found = []
    for line, outputs in sorted(outcome.good):
        one: dict[str, Any] = {"outputs": {name: finite(value) for name, value in outputs.items()}}
        if join != OutputJoin.NONE:
            one |= {"key": f"k{line}", "line": line}
        if join == OutputJoin.INPUT:
            one |= {"input": outcome.inputs[line]}
        found.append(one)
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    outcome=outcomes(),
    form=st.sampled_from(["columns", "arrays", "lists"]),
    join=st.sampled_from(OutputJoin),
    result_format=st.sampled_from(ResultFormat),
)
def test_each_record_is_read_back_exactly_once_and_in_input_order(
    outcome: Outcome, form: str, join: OutputJoin, result_format: ResultFormat
) -> None:
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "c").mkdir()
        writing = Writing(format=result_format, join=join)
        folder = ClaimFolder(Claims(Path(root)), claim="c", path="out")
        to = FileResults(folder, uid="u", writing=writing)
        parts = to.write_shard(0, outcome.results(form), outcome.failures, outputs=SPECS)
        out = Path(root) / "c" / "out"
        assert expected_results(outcome, join) == [narrowed(result) for result in read_parts(out)]
        failed = sorted(line for line, outputs in outcome.outputs.items() if outputs is None)
        assert failed == [error["line"] for error in read_parts(out / "errors")]
        assert len(outcome.order) == sum(part.records for part in parts)


@settings(max_examples=20)
@given(outcome=outcomes(), result_format=st.sampled_from(ResultFormat))
def test_columns_and_rows_of_equal_results_give_equal_bytes(outcome: Outcome, result_format: ResultFormat) -> None:
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "c").mkdir()
        folder = ClaimFolder(Claims(Path(root)), claim="c", path="out")
        to = FileResults(folder, uid="u", writing=Writing(format=result_format))
        by_columns = to.write_shard(0, outcome.results("columns"), [], outputs=SPECS)
        assert by_columns == to.write_shard(0, outcome.results("arrays"), [], outputs=SPECS)


@pytest.mark.parametrize("dims", [(1,), (-1,), (2,)])
@pytest.mark.parametrize("form", ["columns", "rows"])
def test_bytes_that_are_no_text_stand_in_parquet_as_base64_beside_those_that_are(
    dims: tuple[int, ...], form: str
) -> None:
    width = 2 if dims == (2,) else 1
    values = np.array([b"\xff\xfe", "\u00e9".encode()] * width, dtype=object).reshape(2, width)
    rows = [Result("a", 1, {"blob": values[0]}), Result("b", 2, {"blob": values[1]})]
    by_column = ResultColumns(keys=["a", "b"], lines=[1, 2], outputs={"blob": values})
    spec = TensorSpec(name="blob", datatype="BYTES", dims=dims)
    data = results_table(by_column if form == "columns" else rows, OutputJoin.KEY, [spec])
    found = pq.read_table(io.BytesIO(data))["blob"].to_pylist()
    texts = [text for one in found for text in (one if isinstance(one, list) else [one])]
    assert ['{"b64":"//4="}', "\u00e9"] * width == texts
    assert b"\xff\xfe" == base64.b64decode(json.loads(texts[0])["b64"])


@dataclass
class Sender:
    """Keeps what would be sent."""

    sent: list[KafkaMessage] = field(default_factory=list)
    limit: int = 1_000_000

    def check_topic(self, topic: str) -> None:
        """Know every topic."""

    def send(self, messages: Iterable[KafkaMessage]) -> None:
        """Keep messages."""
        assert not self.send_what_fits(messages)

    def send_what_fits(self, messages: Iterable[KafkaMessage]) -> list[TooLarge]:
        """Keep messages, but for those that are too large."""
        refused = []
        for number, message in enumerate(messages):
            if len(message.value) > self.limit:
                refused.append(TooLarge(number=number, size_bytes=len(message.value), limit_bytes=self.limit))
            else:
                self.sent.append(message)
        return refused

    def close(self) -> None:
        """Do nothing."""


@settings(max_examples=40)
@given(outcome=outcomes(), join=st.sampled_from(OutputJoin))
def test_each_record_is_one_message_with_its_place_in_the_shard(outcome: Outcome, join: OutputJoin) -> None:
    sender = Sender()
    job = JobRef(namespace="n", name="j", uid="u")
    client: Any = None  # No manifest is written.
    to = KafkaResults(sender, client, job=job, topic="good", errors_topic="bad", join=join)
    to.write_shard(4, outcome.results("arrays"), outcome.failures)
    by_line = sorted(outcome.outputs)
    assert [f"k{line}" for line in by_line] == [message.key for message in sender.sent]
    assert [str(i) for i in range(len(by_line))] == headers(sender.sent, "millrace-offset")
    topics = ["good" if outcome.outputs[line] is not None else "bad" for line in by_line]
    assert topics == [message.topic for message in sender.sent]
    values = [json.loads(message.value) for message in sender.sent if message.topic == "good"]
    assert expected_results(outcome, join) == [narrowed(value) for value in values]


def headers(messages: Sequence[KafkaMessage], name: str) -> list[str]:
    return [dict(message.headers)[name] for message in messages]


def test_a_result_that_is_too_large_for_its_topic_fails_alone_and_its_error_says_how_large_it_was() -> None:
    sender, client = Sender(limit=600), None
    job = JobRef(namespace="n", name="j", uid="u")
    to = KafkaResults(sender, client, job=job, topic="good", errors_topic="bad", join=OutputJoin.INPUT)  # type: ignore[arg-type] # no manifest is written
    detail = ErrorDetail(code=RecordError.INVALID_RECORD, message="no field")
    failures = [RecordFailure(key="k2", line=2, error=detail, input="i" * 700)]
    results = [Result("k1", 1, {"y": 1}), Result("k3", 3, {"y": "o" * 700}, {"x": 1}), Result("k4", 4, {"y": 4})]
    to.write_shard(7, results, failures)
    places = [(message.key, message.topic, dict(message.headers)["millrace-offset"]) for message in sender.sent]
    assert [("k1", "good", "0"), ("k4", "good", "3"), ("k2", "bad", "1"), ("k3", "bad", "2")] == places
    kept, refused = (json.loads(message.value) for message in sender.sent[2:])
    assert ("InvalidRecord", "ResultTooLarge") == (kept["error"]["code"], refused["error"]["code"])
    assert 'record "k3"' in refused["error"]["message"]
    assert 'bytes with key and headers, and topic "good" takes 600;' in refused["error"]["message"]
    assert "the record is left out here" in kept["error"]["message"]
    assert {2: RecordError.RESULT_TOO_LARGE} == {at: failure.error.code for at, failure in to.refused.items()}
