"""Bad input gets a clear message at the earliest place that can know it, and nothing else is affected.

What the API server itself refuses is in test_admission.py.
"""

import copy
from collections.abc import Callable, Iterator

import pytest
from claims import put_lines, read_folder, records_in
from installation import Platform
from kubectl import Resource
from prediction_jobs import (
    KIND,
    condition,
    counts_of,
    file_on_claim,
    inline,
    job,
    outcome,
    records,
    results_in_redis,
    slow_job,
    submit,
    wait_for_end,
    wait_until_it_says,
    wait_until_working,
    why_not_running,
    without_retries,
)
from waiters import wait_until

SCAN = {"key": "good", "pixels": [0] * 64}
PIXELS = str([0] * 64)

Ended = Callable[[str], Resource]


def _bad_jobs() -> list[Resource]:
    return [
        job("unknown-model", inline(SCAN), model="no-such-model"),
        job("unknown-version", inline(SCAN), version="99"),
        job("empty-input", file_on_claim("input/empty.jsonl")),
        job("missing-file", file_on_claim("input/no-such-file.jsonl")),
        job("missing-claim", file_on_claim("input/digits.jsonl", claim="no-such-claim")),
        job("malformed-line", file_on_claim("input/malformed.jsonl"), to_claim=True, batching={"recordsPerTask": 2}),
        job(
            "wrong-tensors",
            inline(
                SCAN,
                {"key": "short", "pixels": [1, 2, 3]},
                {"key": "words", "pixels": ["seven"] * 64},
                {"key": "absent"},
            ),
        ),
        job(
            "one-bad-record",
            inline({"key": "a", "seconds": [0]}, {"key": "bad", "seconds": [-1]}, {"key": "b", "seconds": [0]}),
            model="slow",
            retryPolicy={"maxRetriesPerRecord": 1},
        ),
        job("all-bad", inline({"key": "x", "pixels": []}, {"key": "y", "pixels": [1]})),
        job(
            "output-to-missing-claim",
            inline(SCAN),
            output={"persistentVolumeClaim": {"claimName": "no-such-claim", "path": "output/nowhere"}},
        ),
    ]


@pytest.fixture(scope="module")
def ended(platform: Platform) -> Ended:
    """Submit all bad jobs together, as many users would; answers a function that waits for one of them."""
    put_lines(platform.kubectl, "input/empty.jsonl", [])
    lines = [f'{{"key": "line-{number}", "pixels": {PIXELS}}}' for number in range(1, 7)]
    lines[3] = '{"key": "line-4", "pixels": ['
    put_lines(platform.kubectl, "input/malformed.jsonl", lines)
    for manifest in _bad_jobs():
        submit(platform, manifest)
    return lambda name: wait_for_end(platform, name)


def test_an_unknown_model_fails_and_names_those_that_exist(ended: Ended) -> None:
    found = ended("unknown-model")

    assert ("False", "ModelNotFound") == outcome(found)
    assert "no-such-model" in condition(found, "Succeeded")["message"]
    assert "digits" in condition(found, "Succeeded")["message"].replace("no-such-model", "")


def test_an_unknown_version_of_a_model_fails_and_names_it(ended: Ended) -> None:
    found = ended("unknown-version")

    assert ("False", "ModelNotFound") == outcome(found)
    assert "99" in condition(found, "Succeeded")["message"]


def test_an_empty_file_fails_as_empty(ended: Ended) -> None:
    found = ended("empty-input")

    assert ("False", "InputEmpty") == outcome(found)
    assert "input/empty.jsonl" in condition(found, "Succeeded")["message"]


def test_a_missing_file_fails_and_names_it(ended: Ended) -> None:
    found = ended("missing-file")

    assert ("False", "InputNotFound") == outcome(found)
    assert "input/no-such-file.jsonl" in condition(found, "Succeeded")["message"]


def test_a_claim_that_workers_do_not_mount_fails_and_says_what_to_set(ended: Ended) -> None:
    found = ended("missing-claim")

    assert ("False", "InputNotFound") == outcome(found)
    assert "no-such-claim" in condition(found, "Succeeded")["message"]
    assert "dataClaims" in condition(found, "Succeeded")["message"]


def test_an_output_claim_that_workers_do_not_mount_fails_before_anything_is_predicted(ended: Ended) -> None:
    found = ended("output-to-missing-claim")

    assert ("False", "OutputWriteFailed") == outcome(found)
    assert "no-such-claim" in condition(found, "Succeeded")["message"]
    assert 0 == records(found).get("succeeded", 0)


def test_a_malformed_line_fails_alone_with_its_line_number(platform: Platform, ended: Ended) -> None:
    found = ended("malformed-line")
    files = read_folder(platform.kubectl, "output/malformed-line")
    (error,) = records_in(files, "errors/")

    assert "PartiallySucceeded" == found["status"]["state"]
    assert ("True", "CompletedWithFailures") == outcome(found)
    assert counts_of(6, failed=1) == without_retries(records(found))
    assert (4, "MalformedJSON") == (error["line"], error["error"]["code"])
    assert ["line-1", "line-2", "line-3", "line-5", "line-6"] == [record["key"] for record in records_in(files)]


def test_the_status_says_which_failures_there_were(ended: Ended) -> None:
    (failure,) = ended("malformed-line")["status"]["failures"]

    assert ("MalformedJSON", 1) == (failure["code"], failure["count"])
    assert failure["message"]
    assert failure["sampleKey"]


def test_wrong_shapes_and_types_fail_alone_and_say_what_the_model_wants(platform: Platform, ended: Ended) -> None:
    found = ended("wrong-tensors")
    errors = results_in_redis(platform, found["metadata"]["uid"], "errors")

    assert counts_of(4, failed=3) == without_retries(records(found))
    assert {"short", "words", "absent"} == set(errors)
    assert {"InvalidRecord"} == {error["error"]["code"] for error in errors.values()}
    assert "64" in errors["short"]["error"]["message"]
    assert "FP32" in errors["words"]["error"]["message"]
    assert "pixels" in errors["absent"]["error"]["message"]
    assert {"good"} == set(results_in_redis(platform, found["metadata"]["uid"], "results"))


def test_one_record_that_the_model_cannot_answer_does_not_fail_its_neighbours(platform: Platform, ended: Ended) -> None:
    found = ended("one-bad-record")
    errors = results_in_redis(platform, found["metadata"]["uid"], "errors")

    assert counts_of(3, failed=1) == without_retries(records(found))
    assert ["bad"] == list(errors)
    assert "InferenceFailed" == errors["bad"]["error"]["code"]
    assert "time does not run backwards" in errors["bad"]["error"]["message"]
    assert {"a", "b"} == set(results_in_redis(platform, found["metadata"]["uid"], "results"))


def test_a_job_whose_every_record_fails_has_failed(ended: Ended) -> None:
    found = ended("all-bad")

    assert ("False", "AllRecordsFailed") == outcome(found)
    assert "Failed" == found["status"]["state"]
    assert counts_of(2, failed=2) == without_retries(records(found))


@pytest.fixture
def late_pool(platform: Platform) -> Iterator[Callable[[], None]]:
    """Answer a function that adopts a Deployment as the pool `late`; both are removed afterwards."""
    deployment = copy.deepcopy(platform.kubectl.require("deployment", platform.deployment_name("digits")))

    def appear() -> None:
        platform.kubectl.apply(_renamed(deployment, "late"), _adopted("late"))

    yield appear
    platform.kubectl.delete("workerpools.millrace.dev", "late")
    platform.kubectl.delete("deployment", "late")


def _renamed(deployment: Resource, name: str) -> Resource:
    """Answer a Deployment like another one, for another queue and with pods of its own."""
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"] | {"millrace.dev/pool": name}
    for container in template["spec"]["containers"]:
        for variable in container.get("env", []):
            if variable["name"] == "MILLRACE_QUEUE":
                variable["value"] = name
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"millrace.dev/pool": name}},
            "template": {"metadata": {"labels": labels}, "spec": template["spec"]},
        },
    }


def _adopted(name: str) -> Resource:
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": name},
        "spec": {"workloadRef": {"name": name}, "queue": name, "concurrency": 2, "maxReplicas": 1, "idleSeconds": 5},
    }


def test_a_job_for_an_unknown_pool_waits_names_the_pools_and_goes_on_when_it_appears(
    platform: Platform, late_pool: Callable[[], None]
) -> None:
    name = submit(platform, job("early", inline(SCAN), pool="late"))

    waiting = wait_until_it_says(platform, name, "WorkerPoolNotFound", "late", "digits", "remote", "system")
    late_pool()
    found = wait_for_end(platform, name)

    assert "Pending" == waiting["status"]["state"]
    assert "False" == condition(waiting, "Validated")["status"]
    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)


def test_a_message_that_is_not_json_is_dead_lettered_and_the_worker_lives_on(platform: Platform) -> None:
    before = platform.queue_length("digits.dead")

    platform.publish_raw("digits", b"this is \xff not JSON")
    found = wait_for_end(platform, submit(platform, job("after-garbage", inline(SCAN))))

    wait_until(
        lambda: platform.queue_length("digits.dead") == before + 1,
        what="the message to be in digits.dead",
        timeout_seconds=60,
        interval_seconds=1,
        explain=platform.describe,
    )
    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)
    restarts = [
        status["restartCount"]
        for pod in platform.pods("digits")
        for status in pod["status"].get("containerStatuses", [])
    ]
    assert 0 == sum(restarts)


def test_deleting_a_running_job_cancels_it_and_frees_its_pool(platform: Platform) -> None:
    name = submit(platform, slow_job("cancelled", records=300, seconds_each=1.0, records_per_task=1))
    uid = wait_until_working(platform, name)["metadata"]["uid"]

    platform.kubectl.delete(KIND, name)

    wait_until(
        lambda: (
            platform.redis("EXISTS", *_ledger_keys(uid)) == 0 and not platform.redis("HEXISTS", "millrace:jobs", uid)
        ),
        what="the ledger of the deleted job to be gone",
        timeout_seconds=60,
        explain=platform.describe,
    )
    # For three pods 100 s of work were left; the rest of the queue is read and dropped.
    platform.wait_for_pool_at(0, timeout_seconds=80)
    assert 0 == platform.redis("EXISTS", *_ledger_keys(uid))


def _ledger_keys(uid: str) -> list[str]:
    return [f"millrace:{{{uid}}}:{part}" for part in ("job", "done", "inflight", "starts", "failures")]


def test_a_job_that_takes_longer_than_its_deadline_fails_and_its_counts_still_sum(platform: Platform) -> None:
    late = slow_job("too-late", records=40, seconds_each=1.0, requestTimeoutSeconds=5, activeDeadlineSeconds=6)
    name = submit(platform, late)

    found = wait_for_end(platform, name)

    counts = records(found)
    assert ("False", "DeadlineExceeded") == outcome(found)
    assert "6" in condition(found, "Succeeded")["message"]
    assert counts.get("total", -1) in {-1, 40}
    if counts["total"] == 40:
        assert 40 == counts["succeeded"] + counts["failed"] + counts["pending"] + counts["inFlight"]


def test_a_finished_job_is_removed_after_its_time_to_live(platform: Platform) -> None:
    name = submit(platform, job("short-lived", inline(SCAN), ttlSecondsAfterFinished=2))

    wait_until(
        lambda: platform.kubectl.get(KIND, name) is None,
        what="the finished job to be removed",
        timeout_seconds=120,
        explain=lambda: platform.kubectl.explain("describe", KIND, name),
    )
