"""What the API server itself refuses: at apply, with a sentence that names the field and what it may be.

Needs the cluster and the resource definitions only, no platform.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from admission import Server, dry_run, refusal
from commands import PROJECT_ROOT, CommandError
from kubectl import Kubectl, Resource

pytestmark = pytest.mark.e2e

CRDS = PROJECT_ROOT / "manifests" / "crds"
SAMPLES = sorted((PROJECT_ROOT / "manifests" / "samples").glob("*.yaml"))
CLAIM = {"claimName": "digits", "path": "in.jsonl"}
FILE = {"persistentVolumeClaim": CLAIM}
Change = Callable[[Any], Any]


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    kubectl = Kubectl(f"millrace-admission-{uuid4().hex[:8]}")
    kubectl.run("apply", "--server-side", "--force-conflicts", "--field-manager=helm", f"--filename={CRDS}")
    kubectl.run("wait", "--for=condition=Established", f"--filename={CRDS}")
    kubectl.run("create", "namespace", kubectl.namespace)
    yield kubectl
    kubectl.run("delete", "namespace", kubectl.namespace, timeout_seconds=180)


@pytest.fixture(scope="module")
def server(kubectl: Kubectl) -> Iterator[Server]:
    with kubectl.proxy() as url, Server(url, kubectl.namespace) as server:
        yield server


def job() -> Resource:
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "PredictionJob",
        "metadata": {"name": "job"},
        "spec": {
            "model": {"name": "digits"},
            "input": {"inline": {"records": [{"pixels": [0] * 64}]}},
            "output": {"redis": {}},
            "workerPoolRef": {"name": "digits"},
        },
    }


def topic(**places: Any) -> Resource:
    """Answer an input from Kafka."""
    return {"kafka": {"topic": "t", **places}}


def pool() -> Resource:
    return {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "WorkerPool",
        "metadata": {"name": "pool"},
        "spec": {"workloadRef": {"name": "workers"}, "queue": "pool", "maxReplicas": 3},
    }


def with_field(resource: Resource, path: str, value: Any) -> Resource:
    """Set a field of the spec, by its path."""
    changed = copy.deepcopy(resource)
    *parents, last = path.split(".")
    place = changed["spec"]
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = value
    return changed


def without_field(resource: Resource, field: str) -> Resource:
    changed = copy.deepcopy(resource)
    del changed["spec"][field]
    return changed


@pytest.mark.parametrize(
    ("path", "value", "sentences"),
    [
        (
            "input",
            {},
            ["spec.input", "give exactly one of input.inline, input.persistentVolumeClaim, input.objectStore"],
        ),
        (
            "input",
            {"inline": {"records": [{}]}, "persistentVolumeClaim": CLAIM},
            ["spec.input", "give exactly one of input.inline, input.persistentVolumeClaim, input.objectStore"],
        ),
        ("input.inline.records", [], ["spec.input.inline.records", "at least 1 item"]),
        ("input.inline.records", [{}] * 1001, ["spec.input.inline.records", "at most 1000 items"]),
        ("input.inline.records", ["text"], ["spec.input.inline.records[0]", "expected map"]),
        ("input", {"persistentVolumeClaim": CLAIM | {"path": "a/../../etc/passwd"}}, ["path", "must not contain"]),
        (
            "input",
            {"persistentVolumeClaim": CLAIM | {"path": "/etc/passwd"}},
            ["path", "must be relative to the claim"],
        ),
        ("input", {"persistentVolumeClaim": CLAIM | {"claimName": "Not A Name"}}, ["claimName", "should match"]),
        ("input", {"persistentVolumeClaim": {"path": "in.jsonl"}}, ["claimName", "Required value"]),
        (
            "output",
            {},
            ["spec.output", "give exactly one of output.redis, output.persistentVolumeClaim, output.objectStore"],
        ),
        ("output", {"redis": {}, "persistentVolumeClaim": CLAIM}, ["spec.output", "give exactly one of output.redis"]),
        ("output.redis.ttlSeconds", -1, ["spec.output.redis.ttlSeconds", "greater than or equal to 60"]),
        ("output", {"persistentVolumeClaim": CLAIM | {"path": ".."}}, ["spec.output", "must not contain"]),
        ("output", {"persistentVolumeClaim": CLAIM | {"path": "."}}, ["path must be a folder below the root"]),
        ("output", {"persistentVolumeClaim": CLAIM | {"path": "/abs"}}, ["path must be a folder below the root"]),
        ("output", {"objectStore": {"uri": "s3://b1//out"}}, ["uri must be s3://bucket/prefix"]),
        ("model.name", "", ["spec.model.name", "at least 1 chars long"]),
        ("model.name", "../../secret", ["spec.model.name", "should match"]),
        ("model.version", "latest", ["spec.model.version", "should match '^[0-9]*$'"]),
        ("batching.recordsPerTask", 0, ["spec.batching.recordsPerTask", "greater than or equal to 1"]),
        ("batching.recordsPerTask", -5, ["spec.batching.recordsPerTask", "greater than or equal to 1"]),
        ("batching.recordsPerTask", 10**6, ["spec.batching.recordsPerTask", "less than or equal to 10000"]),
        ("batching.recordsPerTask", 1.5, ["spec.batching.recordsPerTask", "must be of type integer"]),
        ("batching.recordsPerTask", 10**12, ["spec.batching.recordsPerTask"]),
        ("batching.maxBatchSize", 5000, ["spec.batching.maxBatchSize", "less than or equal to 4096"]),
        ("batching.maxInFlightRequests", 0, ["spec.batching.maxInFlightRequests", "greater than or equal to 1"]),
        ("retryPolicy.maxRetriesPerRecord", -1, ["maxRetriesPerRecord", "greater than or equal to 0"]),
        ("retryPolicy.maxRetriesPerRecord", 101, ["maxRetriesPerRecord", "less than or equal to 100"]),
        ("requestTimeoutSeconds", 0, ["spec.requestTimeoutSeconds", "greater than or equal to 1"]),
        ("requestTimeoutSeconds", 10**5, ["spec.requestTimeoutSeconds", "less than or equal to 3600"]),
        ("activeDeadlineSeconds", 0, ["spec.activeDeadlineSeconds", "greater than or equal to 1"]),
        ("queueingDeadlineSeconds", 0, ["spec.queueingDeadlineSeconds", "greater than or equal to 1"]),
        (
            "activeDeadlineSeconds",
            30,
            ["requestTimeoutSeconds (60 where it is not given) must not exceed activeDeadlineSeconds"],
        ),
        ("ttlSecondsAfterFinished", -1, ["spec.ttlSecondsAfterFinished", "greater than or equal to 0"]),
        ("model.parameters", {"sequence_id": 1}, ["spec.model.parameters", "are Triton's own parameters"]),
        ("model.parameters", {"x": {"y": 1}}, ["spec.model.parameters.x"]),
        ("model.outputs", [{"name": "a"}, {"name": "a"}], ["spec.model.outputs", "duplicate entries for key"]),
        ("input", {"objectStore": {"uri": "gs://b/p"}}, ["spec.input.objectStore.uri", "uri must be s3://bucket/key"]),
        ("input", {"http": {"urls": ["ftp://a/b"]}}, ["urls[0]", "must be an http:// or https:// URL"]),
        ("input", {"http": {"urls": ["https://me:secret@a/b"]}}, ["urls[0]", "must not hold a user or password"]),
        ("input", {"http": {"urls": []}}, ["spec.input.http.urls", "at least 1 item"]),
        ("input", topic(start={"position": "Timestamp"}), ["start", "timestamp goes with position Timestamp"]),
        ("input", topic(end={"position": "Offsets"}), ["end", "offsets goes with position Offsets"]),
        ("input", topic(end={"position": "Never"}), ["spec.input.kafka.end.position", '"Latest"']),
        ("input.format", "Parquet", ["spec.input", "CSV and Parquet go with files only"]),
        ("input.compression", "Gzip", ["spec.input", "Gzip and Zstd go with JSONL and CSV files only"]),
        ("input", FILE | {"format": "Parquet", "compression": "Zstd"}, ["spec.input", "Parquet packs itself"]),
        ("input", FILE | {"csv": {"delimiter": ";"}}, ["spec.input", "input.csv goes with input.format CSV only"]),
        ("input", FILE | {"format": "CSV", "csv": {"delimiter": ";;"}}, ["delimiter", "may not be more than 1"]),
        ("output.format", "Parquet", ["spec.output", "output.format Parquet goes with files only"]),
        ("output.ordering", "Input", ["spec.output", "output.ordering Input goes with files only"]),
        ("output.join", "None", ["spec.output", "output.join None goes with files only"]),
        ("output.existingResults", "Replace", ["spec.output", "output.existingResults Replace goes with files only"]),
        ("output", {"objectStore": {"uri": "s3://bucket"}}, ["spec.output.objectStore.uri", "s3://bucket/prefix"]),
        ("concurrency.maxWorkers", 0, ["spec.concurrency.maxWorkers", "greater than or equal to 1"]),
        ("priority", 10, ["spec.priority", "less than or equal to 9"]),
        ("suspend", "yes", ["spec.suspend", "expected boolean"]),
        (
            "retryPolicy.backoff",
            {"initialDelaySeconds": 61},
            ["spec.retryPolicy.backoff", "initialDelaySeconds must not exceed maxDelaySeconds"],
        ),
        ("retryPolicy.rules", [{"action": "Retry"}], ["rules[0]", "give onCodes or onMessageContains or both"]),
        ("retryPolicy.rules", [{"action": "Retry", "onCodes": ["E42"]}], ["onCodes[0]", '"INTERNAL"']),
        ("failurePolicy.maxFailedPercent", 101, ["spec.failurePolicy.maxFailedPercent", "less than or equal to 100"]),
        ("cache.mode", "Write", ["spec.cache.mode", '"ReadWrite"']),
        ("checkpoint.mode", "Sometimes", ["spec.checkpoint.mode", '"PerTask"']),
        (
            "notifications",
            [{"events": ["Failed"]}],
            ["notifications[0]", "give exactly one of webhook, kafka and event"],
        ),
        ("notifications", [{"events": ["Done"], "event": {}}], ["events[0]", '"PartiallySucceeded"']),
        (
            "notifications",
            [{"events": ["Failed"], "webhook": {"url": "https://a/b", "secretName": "../x"}}],
            ["secretName", "should match"],
        ),
        ("notifications", [{"events": ["Failed"], "event": {}}] * 9, ["spec.notifications", "at most 8 items"]),
        ("dryRun", "Yes", ["spec.dryRun", '"ValidateInput"']),
        ("workerPoolRef.name", "", ["spec.workerPoolRef.name", "at least 1 chars long"]),
        ("batchSize", 5, ["batchSize", "field not declared in schema"]),
    ],
    ids=lambda value: json.dumps(value)[:60] if not isinstance(value, str) else value,
)
def test_a_bad_job_is_refused_in_words_that_name_the_field(
    server: Server, path: str, value: Any, sentences: list[str]
) -> None:
    said = refusal(server, with_field(job(), path, value))
    assert [] == [sentence for sentence in sentences if sentence not in said], said


@pytest.mark.parametrize("field", ["model", "input", "output", "workerPoolRef"])
def test_a_job_without_a_required_part_is_refused(server: Server, field: str) -> None:
    assert f"spec.{field}: Required value" in refusal(server, without_field(job(), field))


def test_ten_megabytes_inline_are_refused_and_the_server_says_the_limit(kubectl: Kubectl) -> None:
    too_much = with_field(job(), "input.inline.records", [{"text": "x" * 10_000_000}])

    with pytest.raises(CommandError, match="limit is 3145728"):
        kubectl.apply(too_much, dry_run=True)


@pytest.mark.parametrize(
    ("path", "value", "sentences"),
    [
        ("maxReplicas", 0, ["spec.maxReplicas", "greater than or equal to 1"]),
        ("maxReplicas", 10**6, ["spec.maxReplicas", "less than or equal to 10000"]),
        ("minReplicas", -1, ["spec.minReplicas", "greater than or equal to 0"]),
        ("minReplicas", 4, ["minReplicas must not exceed maxReplicas"]),
        ("concurrency", 0, ["spec.concurrency", "greater than or equal to 1"]),
        ("queue", "", ["spec.queue", "at least 1 chars long"]),
        ("queue", "amq.gen-1", ["spec.queue", "must not be one of RabbitMQ's"]),
        ("queue", "celery_delayed_27", ["spec.queue", "Celery's (celery_delayed_*) own queues"]),
        ("mode", "Fast", ["spec.mode", '"Auto", "Advisory", "Paused"']),
        ("objective.waitSeconds", 0, ["spec.objective.waitSeconds", "greater than or equal to 1"]),
        ("objective.percentile", 100, ["spec.objective.percentile", "less than or equal to 99"]),
        ("fallback", {"replicas": 9}, ["fallback.replicas must not exceed maxReplicas"]),
        ("workloadRef.kind", "StatefulSet", ["spec.workloadRef.kind", '"Deployment"']),
    ],
    ids=lambda value: json.dumps(value)[:60] if not isinstance(value, str) else value,
)
def test_a_bad_pool_is_refused_in_words_that_name_the_field(
    server: Server, path: str, value: Any, sentences: list[str]
) -> None:
    said = refusal(server, with_field(pool(), path, value))
    assert [] == [sentence for sentence in sentences if sentence not in said], said


def test_a_job_is_completed_with_the_defaults_that_the_documentation_names(server: Server) -> None:
    spec = dry_run(server, job())["spec"]
    assert {"recordsPerTask": 512, "maxInFlightRequests": 4} == spec["batching"]
    backoff = {"initialDelaySeconds": 1, "maxDelaySeconds": 60, "multiplierPercent": 200, "jitter": "Full"}
    retries = {"maxRetriesPerRecord": 3, "backoff": backoff, "isolateFailures": "Bisect"}
    assert (retries, 60) == (spec["retryPolicy"], spec["requestTimeoutSeconds"])
    looks = {"format": "JSONL", "join": "Key", "ordering": "None", "existingResults": "Refuse"}
    assert {"redis": {"ttlSeconds": 86_400}, **looks} == spec["output"]
    assert (4, False, "None") == (spec["priority"], spec["suspend"], spec["dryRun"])
    assert {"minRecords": 100, "onPartialFailure": "Succeed"} == spec["failurePolicy"]
    assert ("Disabled", "PerTask") == (spec["cache"]["mode"], spec["checkpoint"]["mode"])


@pytest.mark.parametrize("records", [1, 1000])
def test_a_good_job_is_accepted(server: Server, records: int) -> None:
    assert records == len(
        dry_run(server, with_field(job(), "input.inline.records", [{"x": 1}] * records))["spec"]["input"]["inline"][
            "records"
        ]
    )


@pytest.mark.parametrize(
    "source",
    [
        FILE | {"format": "CSV", "compression": "Zstd", "csv": {"delimiter": "\t"}},
        {"persistentVolumeClaim": CLAIM | {"includes": ["*.parquet"], "excludes": ["_*"]}, "format": "Parquet"},
        {"objectStore": {"uri": "s3://bucket/prefix/"}, "tensorMapping": [{"tensor": "x", "field": "y"}]},
        {"http": {"urls": ["https://example.org/a.jsonl.gz?version=2"]}},
        topic(),
        topic(start={"position": "Timestamp", "timestamp": "2027-01-15T08:00:00Z"}),
        topic(end={"position": "Offsets", "offsets": [{"partition": 0, "offset": 10}]}),
    ],
    ids=json.dumps,
)
def test_every_kind_of_input_is_accepted(server: Server, source: Resource) -> None:
    assert source.keys() <= dry_run(server, with_field(job(), "input", source))["spec"]["input"].keys()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_accepted(kubectl: Kubectl, sample: Path) -> None:
    answer = kubectl.run("apply", "--server-side", "--dry-run=server", f"--filename={sample}")
    assert "serverside-applied" in answer


@pytest.fixture(scope="module")
def kept_job(kubectl: Kubectl) -> Resource:
    """Create a job that stays: nothing in this namespace acts on it."""
    kept = with_field(with_field(job(), "activeDeadlineSeconds", 600), "ttlSecondsAfterFinished", 600)
    kept["metadata"]["name"] = "kept"
    kubectl.apply(kept)
    return kept


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("model.name", "other", "model, input, output and workerPoolRef of a PredictionJob cannot be changed"),
        ("workerPoolRef.name", "other", "model, input, output and workerPoolRef of a PredictionJob cannot be changed"),
        # Only their number: CEL does not see inside objects whose fields the schema does not name. An edit within a
        # record is taken and means nothing, since the job was submitted with the records as they were.
        (
            "input.inline.records",
            [{"x": 1}, {"x": 2}],
            "model, input, output and workerPoolRef of a PredictionJob cannot be",
        ),
        ("batching.recordsPerTask", 7, "batching of a PredictionJob cannot be changed"),
        ("retryPolicy.maxRetriesPerRecord", 7, "retryPolicy of a PredictionJob cannot be changed"),
        ("requestTimeoutSeconds", 7, "requestTimeoutSeconds of a PredictionJob cannot be changed"),
        ("failurePolicy.maxFailedRecords", 7, "failurePolicy of a PredictionJob cannot be changed"),
        ("queueingDeadlineSeconds", 7, "queueingDeadlineSeconds of a PredictionJob cannot be changed"),
        ("cache.mode", "Read", "cache of a PredictionJob cannot be changed"),
        ("checkpoint.mode", "Disabled", "checkpoint of a PredictionJob cannot be changed"),
        (
            "notifications",
            [{"events": ["Failed"], "event": {}}],
            "notifications of a PredictionJob cannot be changed",
        ),
        ("dryRun", "ValidateInput", "dryRun of a PredictionJob cannot be changed"),
        ("activeDeadlineSeconds", 599, "activeDeadlineSeconds can only be raised"),
    ],
)
def test_what_a_job_does_cannot_be_changed(
    server: Server, kept_job: Resource, path: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(server, with_field(kept_job, path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("activeDeadlineSeconds", 601),
        ("ttlSecondsAfterFinished", 5),
        ("suspend", True),
        ("priority", 9),
        ("concurrency", {"maxWorkers": 2}),
    ],
)
def test_how_long_a_job_may_take_and_stay_and_its_share_of_the_pool_can_be_changed(
    kubectl: Kubectl, kept_job: Resource, path: str, value: Any
) -> None:
    patch = json.dumps({"spec": {path: value}})
    kubectl.run("patch", "pjob", "kept", "--type=merge", f"--patch={patch}", "--dry-run=server")
    assert "kept" == kept_job["metadata"]["name"]


def test_a_queueing_deadline_beyond_the_active_one_is_refused(server: Server) -> None:
    late = with_field(with_field(job(), "activeDeadlineSeconds", 100), "queueingDeadlineSeconds", 101)
    assert "queueingDeadlineSeconds must not exceed activeDeadlineSeconds" in refusal(server, late)


def test_a_status_within_its_limits_is_accepted(kubectl: Kubectl, kept_job: Resource) -> None:
    condition = {
        "type": "Succeeded",
        "status": "Unknown",
        "reason": "Active",
        "message": "m" * 2048,
        "lastTransitionTime": "2027-01-15T08:00:00Z",
        "observedGeneration": 1,
    }
    failures = [{"code": "C", "message": "m" * 256, "count": 1, "sampleKey": "k" * 253}] * 20
    status = {
        "state": "Running",
        "conditions": [condition],
        "failures": failures,
        "records": dict.fromkeys(
            ("total", "succeeded", "failed", "pending", "inFlight", "retried", "cached", "ignored"), -1
        ),
        "tasks": {"total": 3, "succeeded": 1, "active": 1, "deadLettered": 0},
        "completedIndexes": "0," * 2047 + "…",
        "attempt": 1,
        "output": {"uri": "u", "errorsURI": "e", "manifestURI": "m", "expirationTime": "2027-01-15T08:00:00Z"},
    }
    patch = json.dumps({"status": status})
    name = kept_job["metadata"]["name"]
    kubectl.run("patch", "pjob", name, "--subresource=status", "--type=merge", f"--patch={patch}")
    assert status == kubectl.require("pjob", name)["status"]
