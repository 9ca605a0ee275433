"""Results in files are read back as lines of JSON, by the manifest where there is one."""

import json
from pathlib import Path

import numpy as np
import pytest

from millrace_contracts.outputs import OutputJoin
from millrace_contracts.results import Manifest, Part
from millrace_worker import show_results
from millrace_worker.storage.outcome import Result
from millrace_worker.storage.parquet_rows import results_table

LINE = {"key": "a", "line": 1, "outputs": {"y": [1.0]}}
FAILURE = {"key": "b", "line": 2, "error": {"code": "InvalidRecord", "message": "no x", "attempts": 1}, "input": {}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILLRACE_CLAIMS_ROOT", str(tmp_path))
    folder = tmp_path / "digits" / "out"
    (folder / "errors").mkdir(parents=True)
    return folder


def put(folder: Path, name: str, *lines: object) -> str:
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return name


def finish(folder: Path, *parts: str, errors: tuple[str, ...] = ()) -> None:
    manifest = Manifest(
        job="ns/digits",
        uid="u",
        model="m",
        model_version="1",
        records={},
        parts=[Part(name=name) for name in parts],
        errors=[Part(name=name) for name in errors],
        finished_at="2026-01-01T00:00:00Z",
    )
    (folder / "manifest.json").write_text(manifest.to_json())


def shown(capfdbinary: pytest.CaptureFixture[bytes], *options: str) -> list[object]:
    assert 0 == show_results.main(["pvc://digits/out", *options])
    return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


def test_parts_come_in_the_order_of_the_manifest_and_nothing_else_does(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    names = [put(folder, f"part-0000{number}.jsonl", {**LINE, "line": number}) for number in range(3)]
    finish(folder, names[2], names[0])

    assert [{**LINE, "line": 2}, {**LINE, "line": 0}] == shown(capfdbinary)


def test_rows_of_parquet_look_like_lines(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    content = results_table([Result("a", 1, {"y": np.array([1.0, 2.0], np.float32)})], OutputJoin.KEY)
    (folder / "part-00000.parquet").write_bytes(content)
    finish(folder, "part-00000.parquet")

    assert [{**LINE, "outputs": {"y": [1.0, 2.0]}}] == shown(capfdbinary)


def test_what_failed_is_shown_apart(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    finish(folder, errors=(put(folder, "errors/part-00000.jsonl", FAILURE),))

    assert [FAILURE] == shown(capfdbinary, "--failed")


def test_a_job_that_came_to_no_manifest_shows_what_it_wrote(
    folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    put(folder, "part-00001.jsonl", {**LINE, "line": 9})
    put(folder, "part-00000.jsonl", LINE)

    assert [LINE, {**LINE, "line": 9}] == shown(capfdbinary)


def test_a_part_that_is_gone_is_told(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    finish(folder, "part-00000.jsonl")

    assert 1 == show_results.main(["pvc://digits/out"])
    assert b"part-00000.jsonl is not in pvc://digits/out any more" in capfdbinary.readouterr().err


def test_a_claim_that_workers_do_not_have_is_told(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert 1 == show_results.main([f"pvc://other/{folder.name}"])
    assert b'claim "other" is not mounted' in capfdbinary.readouterr().err


def test_a_job_that_wrote_nothing_yet_says_so(folder: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert 1 == show_results.main([f"pvc://digits/{folder.name}"])
    assert b"there is nothing in pvc://digits/out yet" in capfdbinary.readouterr().err
