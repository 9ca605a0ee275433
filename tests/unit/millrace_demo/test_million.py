from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from millrace_contracts.results import Manifest
from millrace_demo.errors import PredictionsError
from millrace_demo.kubectl import Kubectl
from millrace_demo.million import Report, read_manifest, show_report

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"
PART = {"name": "part-00000.parquet", "records": 1_000_000, "sizeBytes": 2_000_000, "sha256": "0" * 64}
MANIFEST = Manifest.model_validate(
    {
        "job": "ns/million",
        "uid": "u",
        "model": "digits",
        "modelVersion": "1",
        "records": {"total": 1_000_000, "succeeded": 1_000_000, "failed": 0},
        "parts": [PART],
        "startedAt": "2026-01-01T00:00:30Z",
        "finishedAt": "2026-01-01T00:02:10Z",
    }
)


def sight(**status: Any) -> dict[str, Any]:
    counts = {"total": 1_000_000, "succeeded": 1_000_000, "failed": 0}
    output = {"persistentVolumeClaim": {"claimName": "digits", "path": "output/million"}}
    return {
        "metadata": {"uid": "u"},
        "spec": {"output": output},
        "status": {"records": counts, "tasks": {"total": 200}, "startTime": "2026-01-01T00:00:00Z", **status},
    }


ENDED = sight(finishTime="2026-01-01T00:02:10Z", percentComplete=100, estimatedCompletionTime="2026-01-01T00:02:10Z")


def estimating(percent: int, estimate: str) -> dict[str, Any]:
    return sight(percentComplete=percent, estimatedCompletionTime=estimate)


def test_the_throughput_is_that_of_the_work_and_the_wait_before_it_is_told_apart() -> None:
    report = Report.of([ENDED], MANIFEST, most_pods=4)

    assert (100.0, 30.0, 10_000.0) == (report.seconds, report.waited_seconds, report.records_per_second)
    assert (200, 4, 1, 2_000_000) == (report.tasks, report.most_pods, report.parts, report.stored_bytes)


def test_the_worst_estimate_counts_from_a_quarter_of_the_work_on() -> None:
    early = estimating(20, "2026-01-01T01:00:00Z")
    sights = [early, estimating(25, "2026-01-01T00:02:25Z"), estimating(60, "2026-01-01T00:02:05Z"), ENDED]

    assert 15.0 == Report.of(sights, MANIFEST, most_pods=1).worst_estimate_percent


def test_a_job_that_was_too_quick_for_an_estimate_has_none() -> None:
    assert Report.of([ENDED], MANIFEST, most_pods=1).worst_estimate_percent is None


def test_the_report_is_readable() -> None:
    text = StringIO()

    show_report(Console(file=text, width=100), Report.of([ENDED], MANIFEST, most_pods=4))

    assert "10,000 records a second" in text.getvalue()
    assert "1,000,000, 0 of them failed" in text.getvalue()


class _ReadingPod(Kubectl):
    def run(self, *arguments: str, limit_seconds: float = 0) -> bytes:
        """Answer a manifest that lacks results."""
        del arguments, limit_seconds
        return MANIFEST.model_copy(update={"parts": []}).to_json().encode()


def test_a_manifest_without_all_results_is_refused() -> None:
    with pytest.raises(PredictionsError, match="has 0 results, and status says 1000000"):
        read_manifest(_ReadingPod("ns", binary="kubectl"), ENDED)


def test_the_job_reads_what_the_writer_writes_a_group_of_rows_a_task() -> None:
    job = yaml.safe_load((SAMPLES / "million-job.yaml").read_text())["spec"]
    writer = yaml.safe_load((SAMPLES / "million-data.yaml").read_text())["spec"]["template"]["spec"]
    program = writer["containers"][0]["command"][-1]

    assert f'"/claim/{job["input"]["persistentVolumeClaim"]["path"]}"' in program
    assert f", {job['batching']['recordsPerTask']}\n" in program
    assert {"1000000"} == {each["value"] for each in writer["containers"][0]["env"]}
    assert '"/claim/input/digits.jsonl"' in program
    compile(program, "million-data.yaml", "exec")
