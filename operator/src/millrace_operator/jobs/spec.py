"""Turn a PredictionJob's spec into the plan task that workers understand, or say why not. Pure.

What is refused here is what the schema of the resource cannot express. What only a worker can know (no such model,
no such file) comes back through the ledger.
"""

import json
from typing import Any, Final

from pydantic import ValidationError

from millrace_contracts.inputs import ClaimInput, InlineInput, Input, Reading
from millrace_contracts.outputs import ClaimOutput, KafkaOutput, Output, RedisOutput
from millrace_contracts.tasks import Batching, JobRef, JobSpec, ModelRef, PlanTask, RetryPolicy
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.errors import OperatorError

INLINE_LIMIT_BYTES: Final = 64 * 1024
"""Inline records travel through etcd, the watch of the operator and one broker message; a claim has no such limit."""


class SpecRefused(OperatorError):  # noqa: N818 - it says what happened
    """This spec can never run; the message says what to change."""


def check_spec(job: PredictionJob) -> None:
    """Refuse a spec that no pool could run; the same answer whether or not its pool exists."""
    build_plan(job, queue="unknown-yet")


def build_plan(job: PredictionJob, *, queue: str) -> PlanTask:
    """Build the plan task of a job whose pool consumes `queue`."""
    try:
        return PlanTask(spec=_job_spec(job, queue), input=_input(job))
    except ValidationError as error:
        raise SpecRefused(_describe(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise SpecRefused(
            f"spec cannot be understood ({type(error).__name__}: {error}); compare it with the samples"
        ) from error


def _job_spec(job: PredictionJob, queue: str) -> JobSpec:
    spec = job.spec
    model = spec["model"]
    batching = spec.get("batching") or {}
    retry = spec.get("retryPolicy") or {}
    return JobSpec(
        job=JobRef(namespace=job.namespace, name=job.name, uid=job.uid),
        model=ModelRef(name=model["name"], version=model.get("version", "")),
        output=_output(spec["output"]),
        queue=queue,
        reading=Reading(key_field=spec["input"].get("keyField", "")),
        batching=Batching(
            records_per_task=batching.get("recordsPerTask", 512),
            max_batch_size=batching.get("maxBatchSize"),
            max_in_flight_requests=batching.get("maxInFlightRequests", 4),
        ),
        retry=RetryPolicy(max_retries_per_record=retry.get("maxRetriesPerRecord", 3)),
        request_timeout_seconds=spec.get("requestTimeoutSeconds", 60),
    )


def _input(job: PredictionJob) -> Input:
    source = job.spec["input"]
    if ("inline" in source) == ("persistentVolumeClaim" in source):
        raise SpecRefused("give exactly one of input.inline and input.persistentVolumeClaim")
    if job.inline_records is not None:
        records = [dict(record) for record in job.inline_records]
        _check_inline_size(records)
        return InlineInput(records=records)
    claim = source["persistentVolumeClaim"]
    return ClaimInput(claim_name=claim["claimName"], path=claim["path"])


def _check_inline_size(records: list[dict[str, Any]]) -> None:
    if not records:
        raise SpecRefused("input.inline.records is empty; give at least one record")
    size_bytes = len(json.dumps(records, ensure_ascii=False, separators=(",", ":")).encode())
    if size_bytes > INLINE_LIMIT_BYTES:
        raise SpecRefused(
            f"input.inline.records is {size_bytes:,} bytes of JSON and the limit is {INLINE_LIMIT_BYTES:,}; "
            "write the records into a JSONL file on a claim and name it in input.persistentVolumeClaim"
        )


def _output(destination: dict[str, Any]) -> Output:
    if sum(kind in destination for kind in ("redis", "persistentVolumeClaim", "kafka")) != 1:
        raise SpecRefused("give exactly one of output.redis, output.persistentVolumeClaim and output.kafka")
    if "redis" in destination:
        return RedisOutput(ttl_seconds=(destination["redis"] or {}).get("ttlSeconds", 86_400))
    if "kafka" in destination:
        kafka = destination["kafka"]
        return KafkaOutput(topic=kafka["topic"], errors_topic=kafka.get("errorsTopic", ""))
    claim = destination["persistentVolumeClaim"]
    return ClaimOutput(claim_name=claim["claimName"], path=claim["path"])


def _describe(error: ValidationError) -> str:
    problems = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
    return "spec is not valid: " + "; ".join(problems[:5])
