"""Where results and errors go, and in what form."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from millrace_contracts.payload import Payload


class ResultFormat(StrEnum):
    """How results stand in files; errors are always JSONL, because they hold whatever was wrong."""

    JSONL = "JSONL"
    PARQUET = "Parquet"


class OutputJoin(StrEnum):
    """What stands beside the outputs of a record."""

    NONE = "None"
    """Nothing: results are in input order, so the n-th of a part belongs to the n-th record that did not fail."""
    KEY = "Key"
    """Its key and line."""
    INPUT = "Input"
    """Its key, its line, and the record as it was read."""


class Ordering(StrEnum):
    """In which order results stand."""

    NONE = "None"
    """Any. Files are in input order all the same; consumers of Kafka and readers of a Redis hash see none."""
    INPUT = "Input"
    """That of the input: parts by their number, records within a part; only files can promise it."""


class ExistingResults(StrEnum):
    """What becomes of the results of another job that lie where files are to be written."""

    REFUSE = "Refuse"
    """They stay, and the job fails before anything is computed."""
    REPLACE = "Replace"
    """Their manifest goes at once, their parts as new ones come; for jobs of a schedule, of which the last counts."""


class RedisOutput(Payload):
    """Results as fields of a Redis hash, one per record, gone after the time to live."""

    kind: Literal["redis"] = "redis"
    ttl_seconds: int = Field(default=86_400, ge=1)


class ClaimOutput(Payload):
    """Results as part files in a folder of a PersistentVolumeClaim that the workers mount."""

    kind: Literal["persistentVolumeClaim"] = "persistentVolumeClaim"
    claim_name: str
    path: str


class ObjectStoreOutput(Payload):
    """Results as part objects under a prefix of an S3-compatible store; the workers have its address and keys."""

    kind: Literal["objectStore"] = "objectStore"
    uri: str = Field(pattern=r"^s3://[^/]+/.+$", max_length=2048)


class KafkaOutput(Payload):
    """Results as keyed Kafka messages, each confirmed before its shard counts: the record's key, its RecordResult."""

    kind: Literal["kafka"] = "kafka"
    topic: str = Field(min_length=1, max_length=249)
    errors_topic: str = Field(default="", max_length=249)
    """Where RecordFailures go; empty sends them to `topic` as well, with the header millrace-outcome: failed."""


Output = Annotated[
    RedisOutput | ClaimOutput | ObjectStoreOutput | KafkaOutput,
    Field(discriminator="kind"),
]


class Writing(Payload):
    """What results look like, wherever they go."""

    format: ResultFormat = ResultFormat.JSONL
    """Parquet goes with files only."""
    join: OutputJoin = OutputJoin.KEY
    ordering: Ordering = Ordering.NONE
    existing_results: ExistingResults = ExistingResults.REFUSE
