"""What the benchmark of PredictionJobs makes of outputs and figures."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from millrace_loadtest.jobs import estimate, fairness, inputs, output
from millrace_loadtest.jobs.bench import CLUSTER_PARTS, LOCAL_PARTS, PARTS, named
from millrace_loadtest.jobs.estimate import Told
from millrace_loadtest.jobs.output import Tally


def test_an_output_with_each_key_once_is_whole() -> None:
    assert Tally(lost=0, twice=0, strange=0) == output.tally(["a", "b"], ["b", "a"])


def test_a_key_that_is_not_found_is_lost() -> None:
    assert 1 == output.tally(["a", "b"], ["a"]).lost


def test_each_time_that_a_key_stands_too_often_counts() -> None:
    assert 2 == output.tally(["a"], ["a", "a", "a"]).twice


def test_a_key_that_nobody_asked_for_is_strange() -> None:
    assert 1 == output.tally(["a"], ["a", "x"]).strange


def test_keys_are_read_from_results_and_errors(tmp_path: Path) -> None:
    (tmp_path / "errors").mkdir()
    (tmp_path / "part-00000.jsonl").write_text('{"key": "a"}\n{"key": "b"}\n')
    (tmp_path / "errors/part-00000.jsonl").write_text('{"key": "c"}\n')
    manifest = {"parts": [{"name": "part-00000.jsonl"}], "errors": [{"name": "errors/part-00000.jsonl"}]}
    assert ["a", "b", "c"] == list(output.keys_of_parts(tmp_path, output.named_parts(manifest)))


def test_a_part_that_the_manifest_does_not_name_is_stray(tmp_path: Path) -> None:
    for name in ("part-00000.jsonl", "part-00001.jsonl"):
        (tmp_path / name).touch()
    assert 1 == output.stray_parts(tmp_path, ["part-00000.jsonl"])


def test_jsonl_and_parquet_hold_the_same_keys(tmp_path: Path) -> None:
    inputs.write_jsonl(tmp_path / "in.jsonl", 3)
    inputs.write_parquet(tmp_path / "in.parquet", 3)
    lines = [json.loads(line) for line in (tmp_path / "in.jsonl").read_text().splitlines()]
    rows = pq.read_table(tmp_path / "in.parquet").to_pylist()
    assert list(inputs.keys(3)) == [line["id"] for line in lines] == [row["id"] for row in rows]


def test_estimates_before_a_quarter_of_the_job_do_not_count() -> None:
    told = [Told(at=10.0, progress=0.2, end=1000.0), Told(at=50.0, progress=0.5, end=110.0)]
    assert 0.1 == estimate.figures(told, began=0.0, ended=100.0)["worst_error"]


def test_an_estimate_is_also_held_against_the_time_left() -> None:
    told = [Told(at=50.0, progress=0.5, end=110.0), Told(at=95.0, progress=0.95, end=99.0)]
    assert 0.2 == estimate.figures(told, began=0.0, ended=100.0)["worst_error_of_time_left"]


def test_a_run_without_estimates_has_no_error_that_could_meet_a_threshold() -> None:
    assert estimate.figures([], began=0.0, ended=100.0)["worst_error"] is None


def test_the_slowest_small_job_counts() -> None:
    assert 0.5 == fairness.figures([1.0], [2.0, 6.0], [1.5], window_seconds=10.0)["delay_in_windows"]


def test_a_group_names_its_parts_once() -> None:
    assert ["kills", *(part for part in LOCAL_PARTS if part != "kills")] == named(["kills", "local"])


def test_nothing_named_is_everything() -> None:
    assert [*LOCAL_PARTS, *CLUSTER_PARTS] == named([])


def test_each_threshold_names_a_part_and_one_bound() -> None:
    file = Path(__file__).parents[4] / "loadtest/scenarios/jobs/thresholds.yaml"
    thresholds = yaml.safe_load(file.read_text())
    assert {threshold["part"] for threshold in thresholds.values()} == set(PARTS)
    assert all(("at_most" in each) != ("at_least" in each) for each in thresholds.values())
