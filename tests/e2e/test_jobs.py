"""One command applies a job; the predictions, counts and words are those that users were promised."""

import json

import pytest
from claims import records_in
from installation import Platform
from prediction_jobs import (
    KIND,
    condition,
    counts_of,
    inline,
    job,
    outcome,
    records,
    results_in_redis,
    submit,
    wait_for_end,
    why_not_running,
    without_retries,
)
from sample_run import SAMPLES, SampleRun

HELD_OUT_SCANS = 540


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_sample_is_accepted_by_the_cluster(platform: Platform, sample: object) -> None:
    platform.kubectl.run("apply", "--dry-run=server", f"--filename={sample}")


def test_the_sample_job_counts_every_record_exactly_once(sample_run: SampleRun) -> None:
    counts = records(sample_run.job)

    assert counts_of(HELD_OUT_SCANS) == without_retries(counts)
    assert 0 == counts["retried"]


def test_the_part_files_hold_each_key_exactly_once(sample_run: SampleRun) -> None:
    assert sorted(sample_run.labels) == sorted(result["key"] for result in sample_run.results)


def test_the_predictions_agree_with_the_true_labels(sample_run: SampleRun) -> None:
    predicted = {result["key"]: result["outputs"]["label"] for result in sample_run.results}
    right = sum(predicted[key] in (label, [label]) for key, label in sample_run.labels.items())

    assert right / HELD_OUT_SCANS >= 0.95


def test_the_manifest_says_what_the_job_left_behind(sample_run: SampleRun) -> None:
    manifest = json.loads(sample_run.files["manifest.json"])

    assert sample_run.uid == manifest["uid"]
    assert "digits" == manifest["model"]
    assert {"total": HELD_OUT_SCANS, "succeeded": HELD_OUT_SCANS, "failed": 0, "cached": 0} == manifest["records"]
    assert sorted(name for name in sample_run.files if name.startswith("part-")) == [
        part["name"] for part in manifest["parts"]
    ]


def test_there_is_no_error_where_nothing_failed(sample_run: SampleRun) -> None:
    assert [] == records_in(sample_run.files, "errors/")


def test_the_conditions_tell_the_whole_way(sample_run: SampleRun) -> None:
    assert ("True", "AllRecordsSucceeded") == outcome(sample_run.job)
    assert "True" == condition(sample_run.job, "Validated").get("status")
    assert "True" == condition(sample_run.job, "ResultsAvailable").get("status")
    assert "False" == condition(sample_run.job, "Running").get("status")
    assert sample_run.job["metadata"]["generation"] == sample_run.job["status"]["observedGeneration"]


def test_the_job_was_queued_or_running_before_it_succeeded(sample_run: SampleRun) -> None:
    assert "Succeeded" == sample_run.states[-1]
    assert {"Queued", "Running"} & set(sample_run.states), sample_run.states


def test_the_status_says_where_the_results_are(sample_run: SampleRun) -> None:
    assert sample_run.job["status"]["output"]["uri"]
    assert sample_run.job["status"]["output"]["manifestURI"].endswith("manifest.json")


def test_kubectl_wait_returns_for_a_job_that_succeeded(platform: Platform, sample_run: SampleRun) -> None:
    name = sample_run.job["metadata"]["name"]

    said = platform.kubectl.run("wait", "--for=condition=Succeeded", f"{KIND}/{name}", "--timeout=5s")

    assert "condition met" in said


def test_kubectl_get_shows_the_promised_columns(platform: Platform, sample_run: SampleRun) -> None:
    header, row = platform.kubectl.run("get", "pjob", sample_run.job["metadata"]["name"]).splitlines()

    assert ["NAME", "STATE", "MODEL", "PROGRESS", "FAILED", "THROUGHPUT", "ETA", "AGE"] == header.split()
    assert ["digits", "Succeeded", "digits", f"{HELD_OUT_SCANS}/{HELD_OUT_SCANS}", "0"] == row.split()[:5]


def test_events_tell_what_happened_to_the_job(platform: Platform, sample_run: SampleRun) -> None:
    events = platform.kubectl.list("events", field_selector=f"involvedObject.uid={sample_run.uid}")

    assert len(events) >= 2
    assert any("540" in event["message"] for event in events), [event["message"] for event in events]


def test_an_inline_job_leaves_its_results_in_redis(platform: Platform) -> None:
    scans = [{"key": f"inline-{number}", "pixels": [number] * 64} for number in range(3)]
    name = submit(platform, job("inline-to-redis", inline(*scans)))

    found = wait_for_end(platform, name)

    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)
    results = results_in_redis(platform, found["metadata"]["uid"], "results")
    assert {"inline-0", "inline-1", "inline-2"} == set(results)
    assert all(0 <= sum(result["outputs"]["probabilities"]) <= 1.001 for result in results.values())
    assert 0 < platform.redis("TTL", f"millrace:{{{found['metadata']['uid']}}}:results") <= 3600


def test_a_pool_may_share_one_triton_behind_a_service(platform: Platform) -> None:
    source = inline(*({"key": f"record-{number}", "seconds": [0]} for number in range(4)))
    name = submit(platform, job("on-shared-triton", source, model="slow", pool="shared"))
    found = wait_for_end(platform, name)

    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)
    assert 4 == records(found)["succeeded"]
    assert [] == [pod for pod in platform.pods("shared") if "initContainers" in pod["spec"]]
