from typing import Any

import pytest
from operator_jobs import UID, job

from millrace_contracts.inputs import ClaimInput, InlineInput
from millrace_contracts.outputs import ClaimOutput, KafkaOutput, RedisOutput
from millrace_contracts.tasks import PlanTask
from millrace_operator.jobs.spec import INLINE_LIMIT_BYTES, SpecRefused, build_plan

CLAIM = {"claimName": "digits", "path": "held-out.jsonl"}


def test_every_field_of_the_spec_reaches_the_plan() -> None:
    plan = build_plan(
        job(
            model={"name": "digits", "version": "3"},
            input={"persistentVolumeClaim": CLAIM, "keyField": "id"},
            output={"persistentVolumeClaim": {"claimName": "out", "path": "a/b"}},
            batching={"recordsPerTask": 7, "maxBatchSize": 8, "maxInFlightRequests": 9},
            retryPolicy={"maxRetriesPerRecord": 0},
            requestTimeoutSeconds=11,
        ),
        queue="gpu",
    )
    assert {
        "spec": {
            "job": {"namespace": "millrace", "name": "digits", "uid": UID},
            "model": {"name": "digits", "version": "3"},
            "output": {"claim_name": "out", "path": "a/b"},
            "queue": "gpu",
            "reading": {"key_field": "id"},
            "batching": {"records_per_task": 7, "max_batch_size": 8, "max_in_flight_requests": 9},
            "retry": {"max_retries_per_record": 0},
            "request_timeout_seconds": 11,
        },
        "input": {"claim_name": "digits", "path": "held-out.jsonl"},
    } == plan.model_dump(mode="json", exclude_defaults=True)


def test_what_the_schema_defaults_may_be_absent() -> None:
    plan = build_plan(job(output={"redis": {}}, input={"persistentVolumeClaim": CLAIM}), queue="q")
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
    plan = build_plan(job(input={"inline": {"records": [{"x": [1.5, 2]}]}}), queue="q")
    assert InlineInput(records=[{"x": [1.5, 2]}]) == plan.input


def test_inline_records_up_to_the_limit_are_accepted() -> None:
    overhead = len('[{"t":""}]')
    records = [{"t": "é" * ((INLINE_LIMIT_BYTES - overhead) // 2)}]
    assert isinstance(build_plan(job(input={"inline": {"records": records}}), queue="q").input, InlineInput)
    with pytest.raises(SpecRefused, match="bytes of JSON and the limit is 65,536"):
        build_plan(job(input={"inline": {"records": [{"t": records[0]["t"] + "é"}]}}), queue="q")


def test_claims_are_named_as_in_the_object() -> None:
    plan = build_plan(job(output={"persistentVolumeClaim": CLAIM}), queue="q")
    assert ClaimInput(claim_name="digits", path="held-out.jsonl") == plan.input
    assert ClaimOutput(claim_name="digits", path="held-out.jsonl") == plan.spec.output


def test_results_to_kafka_name_the_topics() -> None:
    plan = build_plan(job(output={"kafka": {"topic": "scores", "errorsTopic": "bad-scores"}}), queue="q")
    assert KafkaOutput(topic="scores", errors_topic="bad-scores") == plan.spec.output


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"input": {}}, "give exactly one of input.inline and input.persistentVolumeClaim"),
        ({"input": {"inline": {"records": [{}]}, "persistentVolumeClaim": CLAIM}}, "give exactly one of input"),
        ({"input": {"inline": {"records": []}}}, "input.inline.records is empty"),
        ({"output": {}}, "give exactly one of output.redis, output.persistentVolumeClaim and output.kafka"),
        ({"batching": {"recordsPerTask": -1}}, "records_per_task: Input should be greater than or equal to 1"),
        ({"requestTimeoutSeconds": 10**9}, "request_timeout_seconds: Input should be less than or equal to 3600"),
        ({"model": {}}, "spec cannot be understood"),
    ],
)
def test_a_spec_that_slipped_through_the_schema_is_refused_in_words(spec: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecRefused, match=sentence):
        build_plan(job(**spec), queue="q")
