"""Task names and their payloads, as JSON keyword arguments of Celery messages.

A payload carries all that its task needs, so a worker never asks the Kubernetes API. `extra="forbid"` makes a message
from a newer version fail loudly (and reach the dead-letter queue) instead of being half understood.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PLAN: Final = "millrace.plan"
PREDICT_SHARD: Final = "millrace.predict_shard"
FINALIZE: Final = "millrace.finalize"
RUN_PIPELINE: Final = "millrace.run_pipeline"
SUBMIT_JOB: Final = "millrace.submit_job"


class Payload(BaseModel):
    """Base of everything that crosses the broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class RetryPolicy(Payload):
    """Retries of a record that the model failed on; an unreachable or overloaded Triton never spends them."""

    max_retries_per_record: int = Field(default=3, ge=0, le=100)


class InlineInput(Payload):
    """Records that stood in the PredictionJob itself."""

    kind: Literal["inline"] = "inline"
    records: list[dict[str, Any]]


class ClaimInput(Payload):
    """A JSONL file on a PersistentVolumeClaim that the workers mount."""

    kind: Literal["persistentVolumeClaim"] = "persistentVolumeClaim"
    claim_name: str
    path: str


class RedisOutput(Payload):
    """Results as fields of a Redis hash, one per record, gone after the time to live."""

    kind: Literal["redis"] = "redis"
    ttl_seconds: int = Field(default=86_400, ge=1)


class ClaimOutput(Payload):
    """Results as JSONL part files in a folder of a PersistentVolumeClaim that the workers mount."""

    kind: Literal["persistentVolumeClaim"] = "persistentVolumeClaim"
    claim_name: str
    path: str


class KafkaOutput(Payload):
    """Results as keyed Kafka messages, each confirmed before its shard counts: the record's key, its RecordResult."""

    kind: Literal["kafka"] = "kafka"
    topic: str = Field(min_length=1, max_length=249)
    errors_topic: str = Field(default="", max_length=249)
    """Where RecordFailures go; empty sends them to `topic` as well, with the header millrace-outcome: failed."""


Input = Annotated[InlineInput | ClaimInput, Field(discriminator="kind")]
Output = Annotated[RedisOutput | ClaimOutput | KafkaOutput, Field(discriminator="kind")]


class JobSpec(Payload):
    """What plan, shards and finalize of one job have in common."""

    job: JobRef
    model: ModelRef
    output: Output
    queue: str
    """The queue of the pool that predicts."""
    key_field: str = ""
    """The record field that names a record; empty uses "<file>:<line>" ("inline:<n>")."""
    batching: Batching = Batching()
    retry: RetryPolicy = RetryPolicy()
    request_timeout_seconds: int = Field(default=60, ge=1, le=3600)


class PlanTask(Payload):
    """Cut the input into shards, publish them, and record the totals."""

    spec: JobSpec
    input: Input


class InlineShard(Payload):
    """The records themselves."""

    kind: Literal["inline"] = "inline"
    records: list[dict[str, Any]]


class FileShard(Payload):
    """A byte range of the input file that begins and ends at line boundaries."""

    kind: Literal["persistentVolumeClaim"] = "persistentVolumeClaim"
    claim_name: str
    path: str
    offset_bytes: int = Field(ge=0)
    length_bytes: int = Field(ge=0)


class Shard(Payload):
    """A consecutive range of records: the unit of delivery, retry and counting."""

    index: int = Field(ge=0)
    first_line: int = Field(ge=1)
    """Line number of the shard's first line in the file, or position of its first inline record, counted from 1."""
    record_count: int = Field(ge=1)
    source: Annotated[InlineShard | FileShard, Field(discriminator="kind")]


class ShardTask(Payload):
    """Predict one shard and count it in the ledger."""

    spec: JobSpec
    shard: Shard


class FinalizeTask(Payload):
    """Write the manifest of a job whose shards are all done."""

    spec: JobSpec
