from typing import Any

import pytest
from operator_jobs import POOL, UID, job

from millrace_contracts.inputs import (
    ClaimInput,
    HttpInput,
    InlineInput,
    Input,
    KafkaInput,
    KafkaPosition,
    ObjectStoreInput,
)
from millrace_contracts.outputs import ClaimOutput, KafkaOutput, ObjectStoreOutput, RedisOutput
from millrace_contracts.tasks import PlanTask
from millrace_operator.jobs.readings import PoolView
from millrace_operator.jobs.refusal import SpecRefused
from millrace_operator.jobs.spec import build_plan, window
from millrace_operator.jobs.spec_input import INLINE_LIMIT_BYTES

CLAIM = {"claimName": "digits", "path": "held-out.jsonl"}


def test_every_field_of_the_spec_reaches_the_plan() -> None:
    plan = build_plan(
        job(
            model={"name": "digits", "version": "3", "parameters": {"top_k": 5}, "outputs": [{"name": "scores"}]},
            input={
                "persistentVolumeClaim": CLAIM | {"includes": ["*.csv"], "excludes": ["old-*"]},
                "format": "CSV",
                "compression": "Gzip",
                "keyField": "id",
                "csv": {"delimiter": ";"},
                "tensorMapping": [{"tensor": "pixels", "field": "image"}],
            },
            output={
                "persistentVolumeClaim": {"claimName": "out", "path": "a/b"},
                "format": "Parquet",
                "join": "Input",
                "ordering": "Input",
                "existingResults": "Replace",
            },
            batching={"recordsPerTask": 7, "maxBatchSize": 8, "maxInFlightRequests": 9},
            concurrency={"maxWorkers": 3},
            priority=9,
            retryPolicy={
                "maxRetriesPerRecord": 0,
                "backoff": {
                    "initialDelaySeconds": 2,
                    "maxDelaySeconds": 3,
                    "multiplierPercent": 150,
                    "jitter": "None",
                },
                "rules": [{"action": "FailJob", "onCodes": ["INTERNAL"], "onMessageContains": "CUDA"}],
                "isolateFailures": "None",
            },
            failurePolicy={"maxFailedRecords": 4, "maxFailedPercent": 5, "minRecords": 6},
            cache={"mode": "ReadWrite", "ttlSeconds": 60},
            checkpoint={"mode": "Disabled"},
            dryRun="ValidateInput",
            requestTimeoutSeconds=11,
        ),
        PoolView(name="gpu", queue="gpu", concurrency=2),
    )
    assert {
        "spec": {
            "job": {"namespace": "millrace", "name": "digits", "uid": UID},
            "model": {"name": "digits", "version": "3"},
            "parameters": {"top_k": 5},
            "outputs": ["scores"],
            "output": {"claim_name": "out", "path": "a/b"},
            "queue": "gpu",
            "reading": {
                "format": "CSV",
                "compression": "Gzip",
                "key_field": "id",
                "csv_delimiter": ";",
                "tensor_mapping": [{"tensor": "pixels", "field": "image"}],
            },
            "writing": {"format": "Parquet", "join": "Input", "ordering": "Input", "existing_results": "Replace"},
            "batching": {"records_per_task": 7, "max_batch_size": 8, "max_in_flight_requests": 9},
            "retry": {
                "max_retries_per_record": 0,
                "backoff": {
                    "initial_delay_seconds": 2,
                    "max_delay_seconds": 3,
                    "multiplier_percent": 150,
                    "jitter": "None",
                },
                "rules": [{"action": "FailJob", "on_codes": ["INTERNAL"], "on_message_contains": "CUDA"}],
                "isolate_failures": "None",
            },
            "budget": {"max_failed_records": 4, "max_failed_percent": 5, "min_records": 6},
            "cache": {"mode": "ReadWrite", "ttl_seconds": 60},
            "request_timeout_seconds": 11,
            "priority": 9,
            "dry_run": True,
            "checkpoint": False,
        },
        "input": {"claim_name": "digits", "path": "held-out.jsonl", "includes": ["*.csv"], "excludes": ["old-*"]},
        "window": 6,
    } == plan.model_dump(mode="json", exclude_defaults=True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"objectStore": {"uri": "s3://b/p/"}}, ObjectStoreInput(uri="s3://b/p/")),
        ({"http": {"urls": ["https://a/b"]}}, HttpInput(urls=["https://a/b"])),
        ({"kafka": {"topic": "t"}}, KafkaInput(topic="t")),
        (
            {
                "kafka": {
                    "topic": "t",
                    "start": {"position": "Timestamp", "timestamp": "2027-01-15T08:00:00Z"},
                    "end": {"position": "Offsets", "offsets": [{"partition": 1, "offset": 7}]},
                }
            },
            KafkaInput(
                topic="t",
                start=KafkaPosition(position="Timestamp", timestamp=1_800_000_000),
                end=KafkaPosition(position="Offsets", offsets={1: 7}),
            ),
        ),
    ],
)
def test_records_from_afar_are_named_as_in_the_object(source: dict[str, Any], expected: Input) -> None:
    assert expected == build_plan(job(input=source), POOL).input


def test_results_to_an_object_store_are_named_as_in_the_object() -> None:
    plan = build_plan(job(output={"objectStore": {"uri": "s3://bucket/scores"}}), POOL)
    assert ObjectStoreOutput(uri="s3://bucket/scores") == plan.spec.output


@pytest.mark.parametrize(
    ("max_workers", "concurrency", "max_replicas", "expected"),
    [(None, 1, 1, 8), (None, 4, 10, 80), (None, 32, 100, 1000), (1, 1, 50, 1), (3, 4, 50, 12), (1000, 4, 50, 1000)],
)
def test_as_many_shards_are_out_as_keep_the_job_s_share_of_the_pool_busy(
    max_workers: int | None, concurrency: int, max_replicas: int, expected: int
) -> None:
    pool = PoolView(name="p", queue="p", concurrency=concurrency, max_replicas=max_replicas)
    share = {} if max_workers is None else {"concurrency": {"maxWorkers": max_workers}}
    assert expected == window(job(**share), pool)


def test_what_the_schema_defaults_may_be_absent() -> None:
    plan = build_plan(job(output={"redis": {}}, input={"persistentVolumeClaim": CLAIM}), POOL)
    assert PlanTask.model_fields.keys() == {"spec", "input", "window"}
    assert (512, None, 4) == tuple(plan.spec.batching.model_dump().values())
    assert (3, 60, "", "") == (
        plan.spec.retry.max_retries_per_record,
        plan.spec.request_timeout_seconds,
        plan.spec.reading.key_field,
        plan.spec.model.version,
    )
    assert RedisOutput(ttl_seconds=86_400) == plan.spec.output


def test_inline_records_travel_in_the_plan() -> None:
    plan = build_plan(job(input={"inline": {"records": [{"x": [1.5, 2]}]}}), POOL)
    assert InlineInput(records=[{"x": [1.5, 2]}]) == plan.input


def test_inline_records_up_to_the_limit_are_accepted() -> None:
    overhead = len('[{"t":""}]')
    records = [{"t": "é" * ((INLINE_LIMIT_BYTES - overhead) // 2)}]
    assert isinstance(build_plan(job(input={"inline": {"records": records}}), POOL).input, InlineInput)
    with pytest.raises(SpecRefused, match="bytes of JSON and the limit is 65,536"):
        build_plan(job(input={"inline": {"records": [{"t": records[0]["t"] + "é"}]}}), POOL)


def test_claims_are_named_as_in_the_object() -> None:
    plan = build_plan(job(output={"persistentVolumeClaim": {"claimName": "out", "path": "scores"}}), POOL)
    assert ClaimInput(claim_name="digits", path="held-out.jsonl") == plan.input
    assert ClaimOutput(claim_name="out", path="scores") == plan.spec.output


def test_results_to_kafka_name_the_topics() -> None:
    plan = build_plan(job(output={"kafka": {"topic": "scores", "errorsTopic": "bad-scores"}}), POOL)
    assert KafkaOutput(topic="scores", errors_topic="bad-scores") == plan.spec.output


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"input": {}},
            "give exactly one of input.inline, input.persistentVolumeClaim, input.objectStore, input.http",
        ),
        ({"input": {"inline": {"records": [{}]}, "persistentVolumeClaim": CLAIM}}, "give exactly one of input"),
        ({"input": {"inline": {"records": []}}}, "input.inline.records is empty"),
        (
            {"output": {}},
            "give exactly one of output.redis, output.persistentVolumeClaim, output.objectStore and output.kafka",
        ),
        ({"batching": {"recordsPerTask": -1}}, "records_per_task: Input should be greater than or equal to 1"),
        ({"requestTimeoutSeconds": 10**9}, "request_timeout_seconds: Input should be less than or equal to 3600"),
        ({"model": {}}, "spec cannot be understood"),
    ],
)
def test_a_spec_that_slipped_through_the_schema_is_refused_in_words(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecRefused, match=sentence):
        build_plan(job(**spec), POOL)


def on_claim(path: str, claim: str = "data") -> dict[str, Any]:
    return {"persistentVolumeClaim": {"claimName": claim, "path": path}}


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (on_claim("tree"), on_claim("tree/out")),
        (on_claim("./tree/"), on_claim("tree")),
        (on_claim("."), on_claim("out")),
        ({"objectStore": {"uri": "s3://data/in"}}, {"objectStore": {"uri": "s3://data/in/out"}}),
        ({"objectStore": {"uri": "s3://data/"}}, {"objectStore": {"uri": "s3://data/out"}}),
    ],
)
def test_an_output_in_the_folder_of_the_input_is_refused(source: dict[str, Any], destination: dict[str, Any]) -> None:
    with pytest.raises(SpecRefused, match="results would be read as records"):
        build_plan(job(input=source, output=destination), POOL)


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        (on_claim("tree/in"), on_claim("tree/out")),
        (on_claim("tree"), on_claim("tree-out")),
        (on_claim("tree"), on_claim("tree/out", claim="other")),
        (on_claim("data/in.jsonl"), on_claim("data")),
        ({"objectStore": {"uri": "s3://data/in"}}, {"objectStore": {"uri": "s3://data/in-out"}}),
    ],
)
def test_an_output_beside_the_input_is_taken(source: dict[str, Any], destination: dict[str, Any]) -> None:
    assert build_plan(job(input=source, output=destination), POOL)


@pytest.mark.parametrize("path", ["/abs", "/", ".", "./", "./a", "..", "a/..", "a/../b", "a/./b", "a//b", "a/."])
def test_an_output_that_is_no_plain_folder_below_the_root_of_its_claim_is_refused(path: str) -> None:
    with pytest.raises(SpecRefused, match="give a folder below the root of the claim, such as scores/2026-11"):
        build_plan(job(output=on_claim(path)), POOL)


@pytest.mark.parametrize("path", ["a", "a/", "a/b", ".hidden", "a/...", "2026.11/.x"])
def test_an_output_may_be_any_folder_below_the_root_of_its_claim(path: str) -> None:
    assert ClaimOutput(claim_name="data", path=path) == build_plan(job(output=on_claim(path)), POOL).spec.output


@pytest.mark.parametrize("uri", ["s3://b//", "s3://b//a", "s3://b/a//b"])
def test_a_prefix_with_an_empty_part_is_refused(uri: str) -> None:
    with pytest.raises(SpecRefused, match="give s3://bucket/prefix"):
        build_plan(job(output={"objectStore": {"uri": uri}}), POOL)
