"""Results as files of a folder: parts, errors, and a manifest that names them."""

import hashlib
import io
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from millrace_contracts.errors import RecordError
from millrace_contracts.outputs import ExistingResults, OutputJoin, ResultFormat, Writing
from millrace_contracts.results import ErrorDetail, Manifest, Part, RecordFailure
from millrace_worker.errors import OutputUnwritable
from millrace_worker.inference.model import TensorSpec
from millrace_worker.storage.claims import Claims
from millrace_worker.storage.file_results import FileResults
from millrace_worker.storage.folders import ClaimFolder
from millrace_worker.storage.outcome import Result, ResultColumns


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "out"


def destination(
    out: Path, *, uid: str = "u", dry_run: bool = False, alive: Collection[str] = ("u", "other"), **writing: Any
) -> FileResults:
    folder = ClaimFolder(Claims(out.parents[1]), claim="data", path="out")
    return FileResults(
        folder, uid=uid, job=f"n/{uid}", writing=Writing(**writing), dry_run=dry_run, is_active=set(alive).__contains__
    )


def result(line: int) -> Result:
    return Result(f"k{line}", line, {"y": line / 2})


def failure(line: int) -> RecordFailure:
    detail = ErrorDetail(code=RecordError.INVALID_RECORD, message="no field")
    return RecordFailure(key=f"k{line}", line=line, error=detail, input={"x": line})


def manifest(uid: str = "u") -> Manifest:
    return Manifest(job="n/j", uid=uid, model="m", model_version="1", records={"total": 2}, finished_at="now")


def files(out: Path) -> set[str]:
    return {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()}


def test_a_folder_belongs_to_one_job_at_a_time(out: Path) -> None:
    destination(out).prepare()
    destination(out).prepare()
    with pytest.raises(OutputUnwritable, match=r'is being written by job "n/u" \(uid u\); choose another path'):
        destination(out, uid="other").prepare()
    parts = destination(out).write_shard(0, [result(1)], [])
    destination(out).write_manifest(manifest(), parts={0: parts})
    assert {"manifest.json", "part-00000.jsonl"} == files(out)


@pytest.mark.parametrize("existing", list(ExistingResults))
@pytest.mark.parametrize("name", ["part-00005.jsonl", "part-00000.parquet", "errors/part-00001.jsonl"])
def test_files_that_no_job_wrote_are_neither_replaced_nor_removed(
    out: Path, name: str, existing: ExistingResults
) -> None:
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("somebody's")
    with pytest.raises(OutputUnwritable, match=f"{name} first of 1"):
        destination(out, existing_results=existing).prepare()
    assert {name} == files(out)


@pytest.mark.parametrize("left", [b"", b"{", b'{"uid": "u", "job": "n/u"}'])
def test_what_a_job_left_that_ended_without_a_manifest_keeps_nobody_out(out: Path, left: bytes) -> None:
    destination(out).prepare()
    (out / ".millrace-job").write_bytes(left)
    destination(out, uid="other", alive=["other"]).prepare()
    with pytest.raises(OutputUnwritable, match="is being written"):
        destination(out, uid="third").prepare()


def test_a_job_whose_folder_was_taken_over_writes_no_more_into_it(out: Path) -> None:
    former, newcomer = destination(out), destination(out, uid="other", existing_results=ExistingResults.REPLACE)
    former.prepare()
    parts = former.write_shard(0, [result(1)], [])
    newcomer.prepare()
    taken = r'was taken over by job "n/other" \(uid other\)'
    with pytest.raises(OutputUnwritable, match=taken):
        destination(out).write_shard(1, [result(2)], [])
    with pytest.raises(OutputUnwritable, match=taken):
        former.write_manifest(manifest(), parts={0: parts})
    newcomer.write_manifest(manifest("other"), parts={0: newcomer.write_shard(0, [result(3)], [])})
    with pytest.raises(OutputUnwritable, match="holds the results of job"):
        former.write_manifest(manifest(), parts={0: parts})
    assert {"manifest.json", "part-00000.jsonl"} == files(out)


def test_a_part_is_described_as_it_lies_there(out: Path) -> None:
    parts = destination(out).write_shard(3, [result(1)], [failure(2), failure(3)])
    assert [("part-00003.jsonl", 1), ("errors/part-00003.jsonl", 2)] == [(part.name, part.records) for part in parts]
    for part in parts:
        data = (out / part.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (part.size_bytes, part.sha256)


@pytest.mark.parametrize("result_format", ResultFormat)
def test_a_shard_that_is_written_again_leaves_the_same_bytes(out: Path, result_format: ResultFormat) -> None:
    first = destination(out, format=result_format).write_shard(0, [result(1), result(2)], [failure(3)])
    again = destination(out, format=result_format).write_shard(0, [result(2), result(1)], [failure(3)])
    assert first == again


def test_the_errors_of_a_run_before_are_removed(out: Path) -> None:
    destination(out).write_shard(0, [], [failure(1)])
    destination(out).write_shard(0, [result(1)], [])
    assert {"part-00000.jsonl"} == files(out)


def test_records_stand_in_the_order_of_the_input(out: Path) -> None:
    destination(out).write_shard(0, [result(2), result(9), result(1)], [failure(8), failure(7)])
    lines = [json.loads(line)["line"] for line in (out / "part-00000.jsonl").read_text().splitlines()]
    assert [1, 2, 9] == lines
    lines = [json.loads(line)["line"] for line in (out / "errors/part-00000.jsonl").read_text().splitlines()]
    assert [7, 8] == lines


def test_the_manifest_names_parts_in_input_order_with_their_checksums(out: Path) -> None:
    to = destination(out)
    parts = {index: to.write_shard(index, [result(index)], [failure(index + 100)] if index else []) for index in (1, 0)}
    assert "pvc://data/out/manifest.json" == to.write_manifest(manifest(), parts=parts)
    written = json.loads((out / "manifest.json").read_text())
    assert ["part-00000.jsonl", "part-00001.jsonl"] == [part["name"] for part in written["parts"]]
    assert ["errors/part-00001.jsonl"] == [part["name"] for part in written["errors"]]
    assert {"name", "records", "sizeBytes", "sha256"} == written["parts"][0].keys()
    assert (1, "u", "1") == (written["version"], written["uid"], written["modelVersion"])


def test_a_manifest_reads_as_it_was_written(out: Path) -> None:
    to = destination(out, format=ResultFormat.PARQUET)
    to.write_manifest(manifest(), parts={0: to.write_shard(0, [result(1)], [])})
    again = Manifest.model_validate_json((out / "manifest.json").read_text())
    assert (out / "manifest.json").read_text() == again.to_json(indent=2) + "\n"


def test_parts_of_a_manifest_of_before_had_names_only() -> None:
    fields = {"job": "n/j", "uid": "u", "model": "m", "model_version": "", "records": {}, "finished_at": "now"}
    assert [Part(name="part-00000.jsonl")] == Manifest.model_validate(fields | {"parts": ["part-00000.jsonl"]}).parts


def test_what_is_no_part_of_the_job_is_removed_and_what_is_no_part_at_all_stays(out: Path) -> None:
    (out / "errors").mkdir(parents=True)
    for name in ("part-00007.jsonl", "part-00000.parquet", "errors/part-00007.jsonl", ".part-00000.jsonl.x.tmp"):
        (out / name).write_text("of an earlier job")
    (out / "notes.txt").write_text("of somebody else")
    to = destination(out)
    to.write_checkpoint(0, "{}")
    to.write_manifest(manifest(), parts={0: to.write_shard(0, [result(1)], [])})
    assert {"part-00000.jsonl", "manifest.json", "notes.txt"} == files(out)
    assert not (out / ".checkpoints").exists()


def test_a_part_that_somebody_removed_is_named(out: Path) -> None:
    to = destination(out)
    parts = {0: to.write_shard(0, [result(1)], [])}
    (out / "part-00000.jsonl").unlink()
    with pytest.raises(OutputUnwritable, match=r"lacks 1 of its parts, part-00000\.jsonl first"):
        to.write_manifest(manifest(), parts=parts)


def test_a_part_that_was_replaced_after_it_was_counted_is_described_anew(out: Path) -> None:
    to = destination(out)
    parts = {0: to.write_shard(0, [result(1)], [])}
    (now,) = to.write_shard(0, [result(1), result(2)], [])
    to.write_manifest(manifest(), parts=parts)
    assert [now] == Manifest.model_validate_json((out / "manifest.json").read_text()).parts


def test_the_results_of_another_job_are_never_mixed_with_new_ones(out: Path) -> None:
    destination(out, uid="old").write_manifest(manifest("old"), parts={})
    with pytest.raises(OutputUnwritable, match=r'holds the results of job "n/j" \(uid old\); choose another path'):
        destination(out, uid="new").prepare()
    destination(out, uid="old").prepare()


def test_a_job_of_a_schedule_may_replace_the_results_of_the_one_before(out: Path) -> None:
    old = destination(out, uid="old")
    old.write_manifest(manifest("old"), parts={i: old.write_shard(i, [result(i)], []) for i in (0, 1)})
    new = destination(out, uid="new", existing_results=ExistingResults.REPLACE)
    new.prepare()
    assert "manifest.json" not in files(out)
    new.write_manifest(manifest("new"), parts={0: new.write_shard(0, [result(5)], [])})
    assert {"part-00000.jsonl", "manifest.json"} == files(out)


def test_a_manifest_of_something_else_is_not_overwritten(out: Path) -> None:
    out.mkdir()
    (out / "manifest.json").write_text('{"files": []}')
    with pytest.raises(OutputUnwritable, match="none of Millrace"):
        destination(out).prepare()


def test_a_dry_run_writes_errors_only_and_leaves_its_folder_to_the_real_job(out: Path) -> None:
    to = destination(out, uid="dry", dry_run=True)
    to.write_manifest(manifest("dry"), parts={0: to.write_shard(0, [result(1)], [failure(2)])})
    assert {"errors/part-00000.jsonl", "manifest.json"} == files(out)
    destination(out, uid="real").prepare()
    assert {".millrace-job", "errors/part-00000.jsonl"} == files(out)


def test_a_record_that_came_back_has_a_file_of_its_own_in_the_manifest(out: Path) -> None:
    to = destination(out)
    parts = {2: to.write_shard(2, [result(1)], [failure(2)])}
    to.write_redriven(2, 1, [], [failure(2)])
    redriven = to.write_redriven(2, 1, [result(2)], [])
    to.write_manifest(manifest(), parts=parts)
    assert ["redriven/part-00002-00001.jsonl"] == [part.name for part in redriven]
    assert [parts[2][0], *redriven] == Manifest.model_validate_json((out / "manifest.json").read_text()).parts
    assert not (out / "redriven/errors/part-00002-00001.jsonl").exists()


def test_checkpoints_are_read_back_by_shard(out: Path) -> None:
    to = destination(out)
    to.write_checkpoint(0, "zero")
    to.write_checkpoint(12, "twelve")
    destination(out, uid="other").write_checkpoint(5, "other")
    assert {0: "zero", 12: "twelve"} == dict(to.read_checkpoints())


def test_parts_are_held_while_they_have_the_size_that_was_written(out: Path) -> None:
    parts = destination(out).write_shard(0, [result(1)], [failure(2)])
    assert destination(out).holds(parts)
    (out / "errors/part-00000.jsonl").write_text("")
    assert not destination(out).holds(parts)
    assert destination(out).holds(parts[:1])


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_computed(out: Path) -> None:
    out.write_text("a file")
    with pytest.raises(OutputUnwritable, match="a file stands where a folder is needed"):
        destination(out).prepare()


def test_all_parts_of_a_job_have_one_schema_even_without_results(out: Path) -> None:
    outputs = [TensorSpec(name="y", datatype="FP32", dims=(2,)), TensorSpec(name="label", datatype="INT64", dims=(1,))]
    to = destination(out, format=ResultFormat.PARQUET, join=OutputJoin.INPUT)
    to.write_shard(0, [Result("k", 1, {"y": [0.5, None], "label": [3]}, {"x": 1})], [], outputs=outputs)
    to.write_shard(1, [], [failure(2)], outputs=outputs)
    first, second = (pq.read_table(io.BytesIO((out / f"part-0000{i}.parquet").read_bytes())) for i in (0, 1))
    assert first.schema == second.schema
    assert {"key": "k", "line": 1, "input": '{"x":1}', "y": [0.5, None], "label": 3} == first.to_pylist()[0]


def test_an_output_may_have_any_name(out: Path) -> None:
    name = 'half % "quoted" {}'
    by_columns = ResultColumns(keys=["k"], lines=[1], outputs={name: np.array([[1, 2]])})
    destination(out).write_shard(0, by_columns, [])
    assert {name: [1, 2]} == json.loads((out / "part-00000.jsonl").read_text())["outputs"]


def test_an_integer_beyond_64_bits_in_the_input_is_written_as_it_was_read(out: Path) -> None:
    destination(out, join=OutputJoin.INPUT).write_shard(0, [Result("k", 1, {"y": 1.0}, {"id": 2**70})], [])
    assert {"id": 2**70} == json.loads((out / "part-00000.jsonl").read_text())["input"]


def test_bytes_that_are_no_text_are_base64(out: Path) -> None:
    destination(out).write_shard(0, [Result("k", 1, {"y": np.array([b"a", b"\xff"], dtype=object)})], [])
    assert {"y": ["a", {"b64": "/w=="}]} == json.loads((out / "part-00000.jsonl").read_text())["outputs"]


def test_a_model_that_answers_otherwise_than_it_says_is_told_so(out: Path) -> None:
    outputs = [TensorSpec(name="y", datatype="FP32", dims=(3,))]
    by_columns = ResultColumns(keys=["k"], lines=[1], outputs={"y": np.zeros((1, 2), dtype=np.float32)})
    with pytest.raises(OutputUnwritable, match=r'output "y" cannot be a column of Parquet: its shape is \[2\]'):
        destination(out, format=ResultFormat.PARQUET).write_shard(0, by_columns, [], outputs=outputs)
