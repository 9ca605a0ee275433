"""docs/job-results.md reads results as they are written."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from needs import is_missing

from millrace_contracts.errors import RecordError
from millrace_contracts.outputs import ResultFormat, Writing
from millrace_contracts.results import ErrorDetail, Manifest, RecordFailure
from millrace_worker.storage.claims import Claims
from millrace_worker.storage.file_results import FileResults
from millrace_worker.storage.folders import ClaimFolder
from millrace_worker.storage.outcome import Result

PAGE = Path(__file__).parents[4] / "docs" / "job-results.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    folder = ClaimFolder(Claims(tmp_path), claim="data", path="out")
    to = FileResults(folder, uid="u", writing=Writing(format=ResultFormat.PARQUET))
    detail = ErrorDetail(code=RecordError.INVALID_RECORD, message="no field")
    failed = [RecordFailure(key="k3", line=3, error=detail, input={"x": 3})]
    parts = {index: to.write_shard(index, [Result(f"k{index}", index, {"y": 0.5})], failed) for index in (0, 1)}
    manifest = Manifest(job="n/j", uid="u", model="m", model_version="1", records={}, finished_at="now")
    to.write_manifest(manifest, parts=parts)
    monkeypatch.chdir(tmp_path / "data" / "out")
    return tmp_path / "data" / "out"


def test_the_page_shows_a_manifest_as_it_is_written() -> None:
    (shown,) = (block for block in blocks("json") if "sizeBytes" in block)
    manifest = Manifest.model_validate_json(shown)
    assert set(Manifest.model_fields) == manifest.model_fields_set


def test_the_page_reads_all_parts_as_one_table(results: Path) -> None:
    names: dict[str, Any] = {}
    (program,) = blocks("python")
    exec(program, names)
    assert ["k0", "k1"] == names["table"]["key"].to_pylist()
    assert (results / "manifest.json").exists()


@pytest.fixture
def jq() -> None:
    if shutil.which("jq") is None:
        is_missing("there is no jq on this machine")


@pytest.mark.usefixtures("jq")
def test_the_page_checks_every_file_against_the_manifest(results: Path) -> None:
    check = blocks("sh")[0]
    assert 0 == subprocess.run(["sh", "-c", check], check=False, cwd=results).returncode
    (results / "part-00001.parquet").write_bytes(b"harmed")
    assert 0 != subprocess.run(["sh", "-c", check], check=False, cwd=results, capture_output=True).returncode


@pytest.mark.usefixtures("jq")
def test_the_page_makes_an_input_of_the_failed_records(results: Path) -> None:
    subprocess.run(["sh", "-c", blocks("sh")[1]], check=True, cwd=results, capture_output=True)
    assert '{"x":3}\n{"x":3}\n' == (results / "again.jsonl").read_text()
