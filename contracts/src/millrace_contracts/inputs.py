"""Where the records of a job come from, and how they are cut into shards."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from millrace_contracts.payload import Payload

MAX_FILES: Final = 10_000
"""Of one input: a prefix may name more files than anybody meant."""

Patterns = Annotated[list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(max_length=32)]
"""Shell patterns ("*.jsonl", "2026/**/part-*") on paths relative to the folder or prefix."""


class RecordFormat(StrEnum):
    """How records stand in a file. Values are those of the PredictionJob."""

    JSONL = "JSONL"
    """One JSON object a line."""
    CSV = "CSV"
    """RFC 4180 with a header line; a cell that is JSON stands for its value, any other for its text."""
    PARQUET = "Parquet"
    """One record a row, one field a column."""


class Compression(StrEnum):
    """How a file is packed. Parquet packs itself and knows only AUTO and NONE."""

    AUTO = "Auto"
    """By the end of its name: .gz, .zst, anything else is not packed."""
    NONE = "None"
    GZIP = "Gzip"
    ZSTD = "Zstd"


class InlineInput(Payload):
    """Records that stood in the PredictionJob itself."""

    kind: Literal["inline"] = "inline"
    records: list[dict[str, Any]]


class ClaimInput(Payload):
    """A file, or a folder of files, on a PersistentVolumeClaim that the workers mount."""

    kind: Literal["persistentVolumeClaim"] = "persistentVolumeClaim"
    claim_name: str
    path: str
    includes: Patterns = Field(default=[])
    """Of a folder: no pattern takes all files but those whose name begins with "." or "_"."""
    excludes: Patterns = Field(default=[])


class ObjectStoreInput(Payload):
    """An object, or all objects under a prefix, of an S3-compatible store; the workers have its address and keys."""

    kind: Literal["objectStore"] = "objectStore"
    uri: str = Field(pattern=r"^s3://[^/]+(/.*)?$", max_length=2048)
    includes: Patterns = Field(default=[])
    excludes: Patterns = Field(default=[])


class HttpInput(Payload):
    """Files behind URLs. A server that knows Range requests is asked for parts; any other is read from the start."""

    kind: Literal["http"] = "http"
    urls: list[Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)]] = Field(
        min_length=1, max_length=100
    )


class KafkaPosition(Payload):
    """A place in a topic: its ends, a time, or an offset for each partition."""

    position: Literal["Earliest", "Latest", "Timestamp", "Offsets"]
    timestamp: float | None = None
    """Seconds since the epoch; the first record at or after it."""
    offsets: dict[int, Annotated[int, Field(ge=0)]] = Field(default={})
    """Partition -> offset. A partition that is not named has no part in the job."""

    @model_validator(mode="after")
    def _is_whole(self) -> "KafkaPosition":
        if (self.position == "Timestamp") != (self.timestamp is not None):
            raise ValueError('"timestamp" goes with position Timestamp, and only with it')
        if (self.position == "Offsets") != bool(self.offsets):
            raise ValueError('"offsets" goes with position Offsets, and only with it')
        return self


class KafkaInput(Payload):
    """The values of a topic from one place to another, each a JSON object; Latest is where it ended when planned."""

    kind: Literal["kafka"] = "kafka"
    topic: str = Field(min_length=1, max_length=249)
    start: KafkaPosition = KafkaPosition(position="Earliest")
    end: KafkaPosition = KafkaPosition(position="Latest")


Input = Annotated[
    InlineInput | ClaimInput | ObjectStoreInput | HttpInput | KafkaInput,
    Field(discriminator="kind"),
]


class TensorMapping(Payload):
    """Which field of a record is which input of the model."""

    tensor: str = Field(min_length=1, max_length=253)
    field: str = Field(min_length=1, max_length=253)


class Reading(Payload):
    """How the records of any source are read and named."""

    format: RecordFormat = RecordFormat.JSONL
    compression: Compression = Compression.AUTO
    key_field: str = ""
    """The field that names a record; empty uses "<file>:<line>" ("inline:<n>", "<topic>-<partition>:<offset>")."""
    csv_delimiter: str = Field(default=",", min_length=1, max_length=1)
    tensor_mapping: list[TensorMapping] = Field(default=[], max_length=64)
    """Empty takes the field of the tensor's own name."""


class InlineShard(Payload):
    """The records themselves."""

    kind: Literal["inline"] = "inline"
    records: list[dict[str, Any]]


class FileRef(Payload):
    """One file, as it was when the job was planned."""

    uri: str
    """claim:<claim>/<path>, s3://<bucket>/<key>, http://... or https://..."""
    size_bytes: int | None = None
    """As stored; None where the server does not say."""
    version: str = ""
    """ETag, or time of the last change; another one later means that the input changed while the job ran."""
    name: str = ""
    """How its records are named: the path below the folder or prefix, so that no two files of a job share it."""


class FileShard(Payload):
    """A run of records of one file.

    JSONL and CSV: bytes of the unpacked file that begin and end at ends of records. Parquet: rows.
    """

    kind: Literal["file"] = "file"
    file: FileRef
    offset: int = Field(ge=0)
    length: int = Field(ge=0)


class KafkaShard(Payload):
    """Offsets of one partition, from the first up to and without the last. Compaction may have left fewer records."""

    kind: Literal["kafka"] = "kafka"
    topic: str
    partition: int = Field(ge=0)
    start_offset: int = Field(ge=0)
    end_offset: int = Field(ge=0)


class Shard(Payload):
    """A consecutive range of records: the unit of delivery, retry and counting."""

    index: int = Field(ge=0)
    first_line: int = Field(ge=1)
    """Where the first record stands, counted from 1: line of the file, row, or position among inline records."""
    record_count: int = Field(ge=1)
    """As planned. What is found can be less in Kafka; then the job's total becomes smaller."""
    source: Annotated[InlineShard | FileShard | KafkaShard, Field(discriminator="kind")]
