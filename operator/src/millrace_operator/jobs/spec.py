"""Turn a PredictionJob's spec into the plan task that workers understand, or say why not. Pure.

What is refused here is what the schema of the resource cannot express. What only a worker can know (no such model,
no such file) comes back through the ledger.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from millrace_contracts.tasks import (
    Backoff,
    Batching,
    CacheUse,
    FailureBudget,
    JobRef,
    JobSpec,
    ModelRef,
    PlanTask,
    RetryAction,
    RetryPolicy,
    RetryRule,
)
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.readings import PoolView
from millrace_operator.jobs.refusal import SpecRefused
from millrace_operator.jobs.spec_input import build_input, build_reading
from millrace_operator.jobs.spec_output import build_output, build_writing
from millrace_operator.jobs.spec_places import refuse_output_inside_input

LEAST_WINDOW: Final = 8
MOST_WINDOW: Final = 1000
"""Shards of one job that are out at a time: what a pool of any size needs to stay busy, and no more than a queue that
other jobs share can bear."""

UNBOUNDED_POOL: Final = PoolView(name="", queue="unknown-yet")


def check_spec(job: PredictionJob) -> None:
    """Refuse a spec that no pool could run; the same answer whether or not its pool exists."""
    build_plan(job, UNBOUNDED_POOL)


def build_plan(job: PredictionJob, pool: PoolView) -> PlanTask:
    """Build the plan task of a job whose workers are those of `pool`."""
    try:
        plan = PlanTask(spec=_job_spec(job, pool.queue), input=build_input(job.spec["input"]), window=window(job, pool))
    except ValidationError as error:
        raise SpecRefused(_describe(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecRefused(
            f"spec cannot be understood ({type(error).__name__}: {error}); compare it with the samples"
        ) from error
    refuse_output_inside_input(plan.input, plan.spec.output)
    return plan


def window(job: PredictionJob, pool: PoolView) -> int:
    """Say how many shards of a job may be out: what its workers hold, or twice what the whole pool could.

    Twice, so that a worker which ends a shard finds the next one waiting, whoever publishes it.
    """
    if job.max_workers is not None:
        return min(MOST_WINDOW, job.max_workers * pool.concurrency)
    return min(MOST_WINDOW, max(LEAST_WINDOW, 2 * pool.max_replicas * pool.concurrency))


def share_of(job: PredictionJob) -> str:
    """Name what of a running job may be changed and its shards carry, to see that it was."""
    return f"priority={job.priority} maxWorkers={job.max_workers or 'all'}"


def _job_spec(job: PredictionJob, queue: str) -> JobSpec:
    spec = job.spec
    model, batching = spec["model"], spec.get("batching") or {}
    return JobSpec(
        job=JobRef(namespace=job.namespace, name=job.name, uid=job.uid),
        model=ModelRef(name=model["name"], version=model.get("version", "")),
        output=build_output(spec["output"]),
        queue=queue,
        parameters=dict(model.get("parameters") or {}),
        outputs=[output["name"] for output in model.get("outputs") or ()],
        reading=build_reading(spec["input"]),
        writing=build_writing(spec["output"]),
        batching=Batching(
            records_per_task=batching.get("recordsPerTask", 512),
            max_batch_size=batching.get("maxBatchSize"),
            max_in_flight_requests=batching.get("maxInFlightRequests", 4),
        ),
        retry=_retry(spec.get("retryPolicy") or {}),
        budget=_budget(spec.get("failurePolicy") or {}),
        cache=_cache(spec.get("cache") or {}),
        request_timeout_seconds=spec.get("requestTimeoutSeconds", 60),
        priority=job.priority,
        dry_run=job.is_dry_run,
        checkpoint=(spec.get("checkpoint") or {}).get("mode", "PerTask") == "PerTask",
    )


def _retry(policy: Mapping[str, Any]) -> RetryPolicy:
    backoff = policy.get("backoff") or {}
    return RetryPolicy(
        max_retries_per_record=policy.get("maxRetriesPerRecord", 3),
        backoff=Backoff(
            initial_delay_seconds=backoff.get("initialDelaySeconds", 1),
            max_delay_seconds=backoff.get("maxDelaySeconds", 60),
            multiplier_percent=backoff.get("multiplierPercent", 200),
            jitter=backoff.get("jitter", "Full"),
        ),
        rules=[
            RetryRule(
                action=RetryAction(rule["action"]),
                on_codes=list(rule.get("onCodes") or ()),
                on_message_contains=rule.get("onMessageContains", ""),
            )
            for rule in policy.get("rules") or ()
        ],
        isolate_failures=policy.get("isolateFailures", "Bisect"),
    )


def _budget(policy: Mapping[str, Any]) -> FailureBudget:
    return FailureBudget(
        max_failed_records=policy.get("maxFailedRecords"),
        max_failed_percent=policy.get("maxFailedPercent"),
        min_records=policy.get("minRecords", 100),
    )


def _cache(use: Mapping[str, Any]) -> CacheUse:
    return CacheUse(mode=use.get("mode", "Disabled"), ttl_seconds=use.get("ttlSeconds", 3600))


def _describe(error: ValidationError) -> str:
    problems = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
    return "spec is not valid: " + "; ".join(problems[:5])
