"""Cutting a job's input into shards."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.inputs import ClaimInput, InlineInput, Input
from millrace_contracts.outputs import RedisOutput
from millrace_contracts.results import RecordFailure
from millrace_contracts.tasks import Batching, JobRef, JobSpec, ModelRef, PlanTask
from millrace_worker.records import Record, read_records
from millrace_worker.storage.claims import Claims
from millrace_worker.tasks.plan import cut


def plan_task(source: Input, size: int) -> PlanTask:
    spec = JobSpec(
        job=JobRef(namespace="n", name="j", uid="u"),
        model=ModelRef(name="m"),
        output=RedisOutput(),
        queue="q",
        batching=Batching(records_per_task=size),
    )
    return PlanTask(spec=spec, input=source)


def read_all(task: PlanTask, claims: Claims, key_field: str = "") -> list[Record | RecordFailure]:
    return [record for shard in cut(task, claims) for record in read_records(shard, key_field=key_field, claims=claims)]


@given(count=st.integers(0, 50), size=st.integers(1, 20))
def test_every_inline_record_is_in_exactly_one_shard(count: int, size: int) -> None:
    values: list[dict[str, Any]] = [{"x": i} for i in range(count)]
    read = read_all(plan_task(InlineInput(records=values), size), Claims(Path("/none")))
    assert [(record.key, record.value) for record in read if isinstance(record, Record)] == [
        (f"inline:{i + 1}", value) for i, value in enumerate(values)
    ]


@given(lines=st.lists(st.sampled_from(["", '{"x": 1}', "bad", "[]"]), max_size=40), size=st.integers(1, 9))
def test_every_line_of_a_file_is_in_exactly_one_shard_under_its_own_number(lines: list[str], size: int) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "in.jsonl").write_text("\n".join(lines))
        read = read_all(plan_task(ClaimInput(claim_name="data", path="in.jsonl"), size), Claims(Path(folder)))
    assert [record.key for record in read] == [f"in.jsonl:{n}" for n, line in enumerate(lines, start=1) if line]
    good = [record.line for record in read if isinstance(record, Record)]
    assert good == [n for n, line in enumerate(lines, start=1) if line.startswith("{")]


def test_the_key_of_a_record_is_the_text_of_its_key_field() -> None:
    values: list[dict[str, Any]] = [{"id": 7}, {"id": "a"}, {"id": 1.5}, {"id": True}, {"id": None}, {}]
    read = read_all(plan_task(InlineInput(records=values), 10), Claims(Path("/none")), key_field="id")
    assert [record.key for record in read] == ["7", "a", "1.5", "inline:4", "inline:5", "inline:6"]
    assert [isinstance(record, Record) for record in read] == [True, True, True, False, False, False]


def test_a_malformed_line_keeps_its_text(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.jsonl").write_text('{"x": 1\n')
    (failure,) = read_all(plan_task(ClaimInput(claim_name="data", path="in.jsonl"), 10), Claims(tmp_path))
    assert isinstance(failure, RecordFailure)
    assert json.loads(failure.model_dump_json())["input"] == '{"x": 1'
