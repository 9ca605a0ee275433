"""Task names and their payloads, as JSON keyword arguments of Celery messages."""

from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import Field

from millrace_contracts.inputs import Input, Reading, Shard
from millrace_contracts.outputs import Output, Writing
from millrace_contracts.payload import Payload

PLAN: Final = "millrace.plan"
PREDICT_SHARD: Final = "millrace.predict_shard"
FINALIZE: Final = "millrace.finalize"
NOTIFY: Final = "millrace.notify"
TIDY: Final = "millrace.tidy"
RUN_PIPELINE: Final = "millrace.run_pipeline"
SUBMIT_JOB: Final = "millrace.submit_job"

DEFAULT_PRIORITY: Final = 4
"""Of a job; up to here its messages have no priority over any task of Celery, which names 0 where nobody says more."""


def message_priority(priority: int) -> int:
    """Answer the priority of a job's messages in a quorum queue, where a higher one goes strictly first.

    A job of the default priority must not be in front of tasks that name none: they would wait for its end.
    """
    return max(0, priority - DEFAULT_PRIORITY)


class JobRef(Payload):
    """Which PredictionJob a task belongs to."""

    namespace: str
    name: str
    uid: str
    """`metadata.uid`: a deleted and re-created job of the same name is another job."""


class ModelRef(Payload):
    """The model on Triton; an empty version leaves the choice to Triton's version policy."""

    name: str
    version: str = ""


class Batching(Payload):
    """How records are grouped: tasks are the unit of ack and retry, batches that of a Triton request."""

    records_per_task: int = Field(default=512, ge=1, le=10_000)
    max_batch_size: int | None = Field(default=None, ge=1, le=4096)
    """Rows of a Triton request; None takes the smaller of the model's own maximum and 64."""
    max_in_flight_requests: int = Field(default=4, ge=1, le=64)


class RetryAction(StrEnum):
    """What a rule does with a record that stands alone and failed."""

    RETRY = "Retry"
    """Try again within `max_retries_per_record`, then fail the record."""
    FAIL_RECORD = "FailRecord"
    """Fail it at once."""
    FAIL_JOB = "FailJob"
    """Stop the whole job with RetriesExhausted."""
    IGNORE = "Ignore"
    """Fail it at once, and leave it out of the failure budget."""


class RetryRule(Payload):
    """Matches an answer of Triton by its gRPC status and by words of its message; an empty condition matches any."""

    action: RetryAction
    on_codes: list[str] = Field(default=[], max_length=20)
    """gRPC status names: INTERNAL, INVALID_ARGUMENT, ..."""
    on_message_contains: str = Field(default="", max_length=256)


class Backoff(Payload):
    """Pauses between the tries of one record: growing, at most so long, and spread where `jitter` is Full."""

    initial_delay_seconds: int = Field(default=1, ge=0, le=3600)
    max_delay_seconds: int = Field(default=60, ge=0, le=3600)
    multiplier_percent: int = Field(default=200, ge=100, le=1000)
    jitter: Literal["Full", "None"] = "Full"


class RetryPolicy(Payload):
    """Retries of a record that the model failed on; an unreachable or overloaded Triton never spends them."""

    max_retries_per_record: int = Field(default=3, ge=0, le=100)
    backoff: Backoff = Backoff()
    rules: list[RetryRule] = Field(default=[], max_length=20)
    """The first that matches counts. Without a match INVALID_ARGUMENT and OUT_OF_RANGE fail the record, else Retry."""
    isolate_failures: Literal["Bisect", "None"] = "Bisect"
    """None fails all records of a batch together."""


class FailureBudget(Payload):
    """How many failed records end the whole job at once; None is without limit."""

    max_failed_records: int | None = Field(default=None, ge=0)
    max_failed_percent: int | None = Field(default=None, ge=0, le=100)
    """Of the records that are done, once `min_records` are."""
    min_records: int = Field(default=100, ge=1)


class CacheUse(Payload):
    """Whether equal records take their outputs from the prediction cache, and new ones are kept there."""

    mode: Literal["Disabled", "Read", "ReadWrite"] = "Disabled"
    ttl_seconds: int = Field(default=3600, ge=1, le=2_592_000)


class JobSpec(Payload):
    """What plan, shards and finalize of one job have in common."""

    job: JobRef
    model: ModelRef
    output: Output
    queue: str
    """The queue of the pool that predicts."""
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict, max_length=32)
    """Request parameters of every call of Triton."""
    outputs: list[str] = Field(default=[], max_length=64)
    """Names of the model's outputs that are wanted; empty is all."""
    reading: Reading = Reading()
    writing: Writing = Writing()
    batching: Batching = Batching()
    retry: RetryPolicy = RetryPolicy()
    budget: FailureBudget = FailureBudget()
    cache: CacheUse = CacheUse()
    request_timeout_seconds: int = Field(default=60, ge=1, le=3600)
    priority: int = Field(default=DEFAULT_PRIORITY, ge=0, le=9)
    """Above 4 the job's messages go before those of less; up to 4 they take turns with all other tasks of the queue."""
    dry_run: bool = False
    """Read and check every record against the model, and compute nothing; errors are written, results are not."""
    checkpoint: bool = True
    """Note each shard's counts beside its results, so that a job whose ledger Redis lost goes on where it was."""


class PlanTask(Payload):
    """Cut the input into shards, record the totals, and publish the first window of shards.

    Where the ledger has an index already it is not cut again: what is not done is published anew.
    """

    spec: JobSpec
    input: Input
    window: int = Field(default=64, ge=1, le=10_000)
    """How many shards of this job may be out at a time, so that other jobs of the pool get their turn."""


class ShardTask(Payload):
    """Predict one shard and count it in the ledger."""

    spec: JobSpec
    shard: Shard
    epoch: int = 0
    """Of its publication; the ledger's is higher after a resume, and what was out before is then left alone."""
    redrive: bool = False
    """Somebody took it out of the dead-letter queue: its records failed before and are counted already."""
    position: int | None = Field(default=None, ge=0)
    """Of the one record that is redriven: where it stands in the shard, from 0; None redrives all of them."""


class FinalizeTask(Payload):
    """Write the manifest of a job whose shards are all done."""

    spec: JobSpec


class TidyTask(Payload):
    """Remove what only a job that goes on needs: the checkpoints of one that has failed, or that was deleted."""

    job: JobRef
    output_uri: str
    """As the ledger has it: pvc://<claim>/<path> or s3://<bucket>/<prefix>."""


class NotifyTask(Payload):
    """Tell one receiver of one event of a job; repeated until it takes it, or until the event is a day old."""

    job: JobRef
    event: Literal["Started", "Succeeded", "PartiallySucceeded", "Failed", "Suspended"]
    at: float
    """Seconds since the epoch."""
    body: dict[str, Any]
    """What the receiver gets as JSON: namespace, name, uid, event, state, reason, message, records, output."""
    webhook_url: str = ""
    webhook_secret: str = ""
    """Name of a file in the workers' folder of notification secrets, which signs the body; empty sends no signature."""
    kafka_topic: str = ""
    """Where the body goes as a message; exactly one of this and `webhook_url` is given."""
