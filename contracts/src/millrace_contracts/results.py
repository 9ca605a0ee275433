"""What a result and an error look like where users read them, and where that is.

A record ends in exactly one of the two: results hold its outputs, errors hold its input and why it failed.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

from millrace_contracts.errors import RecordError
from millrace_contracts.outputs import Ordering, OutputJoin, ResultFormat

MANIFEST_VERSION: Final = 1
MANIFEST_FILE: Final = "manifest.json"
ERRORS_FOLDER: Final = "errors"
REDRIVEN_FOLDER: Final = "redriven"


class ErrorDetail(BaseModel):
    """Why a record has no prediction."""

    model_config = ConfigDict(frozen=True)

    code: RecordError
    message: str
    attempts: int = 1


class RecordResult(BaseModel):
    """One succeeded record: a line or row of a part file, a field of the results hash, or a message.

    Key and line are not written where the job joins nothing, the input only where it joins that.
    """

    model_config = ConfigDict(frozen=True)

    key: str = ""
    line: int = 0
    outputs: dict[str, Any]
    input: Any = None
    """The record as it was read."""


class RecordFailure(BaseModel):
    """One failed record: a line of `errors/part-*.jsonl`, a field of the errors hash, or a message."""

    model_config = ConfigDict(frozen=True)

    key: str
    line: int
    error: ErrorDetail
    input: Any
    """The record as it was read; the raw text where it is not JSON."""


class Part(BaseModel):
    """One file that a shard wrote, or one place of all results: a hash, a topic."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    name: str
    """Relative to the manifest."""
    records: int = 0
    size_bytes: int | None = None
    """None where it is no file."""
    sha256: str | None = None
    """Of the file, in hexadecimal."""

    @property
    def holds_errors(self) -> bool:
        """Say whether its lines are RecordFailures."""
        return ERRORS_FOLDER in self.name.split("/")[:-1]


def _with_name(part: Any) -> Any:
    # Manifests of earlier versions named their parts and told no more.
    return {"name": part} if isinstance(part, str) else part


class Manifest(BaseModel):
    """What a finished job left behind: `manifest.json` beside the part files, or the manifest key in Redis."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    version: int = MANIFEST_VERSION
    """Of this form; fields are added without a new one."""
    job: str
    """Namespace and name."""
    uid: str
    model: str
    model_version: str
    records: dict[str, int]
    """total, succeeded, failed, and cached, which are among the succeeded."""
    format: ResultFormat = ResultFormat.JSONL
    join: OutputJoin = OutputJoin.KEY
    ordering: Ordering = Ordering.NONE
    dry_run: bool = False
    """The input was only checked: there are errors, and no results."""
    parts: list[Annotated[Part, BeforeValidator(_with_name)]] = []
    """Results in input order; the hash in Redis, the topic of Kafka."""
    errors: list[Part] = []
    """The same of the records that failed."""
    started_at: str = ""
    """RFC 3339, UTC: when the first shard began."""
    finished_at: str

    def to_json(self, *, indent: int | None = None) -> str:
        """Write it as people and programs read it."""
        return self.model_dump_json(by_alias=True, exclude_none=True, indent=indent)


def part_file(shard_index: int, result_format: ResultFormat = ResultFormat.JSONL) -> str:
    """Name the results file of a shard; the same name on redelivery, so that a second run overwrites the first."""
    return f"part-{shard_index:05d}.{_SUFFIXES[result_format]}"


def error_file(shard_index: int) -> str:
    """Name the errors file of a shard, relative to the output folder; errors are JSONL, whatever the results are."""
    return f"{ERRORS_FOLDER}/part-{shard_index:05d}.jsonl"


def redriven_files(
    shard_index: int, position: int | None, result_format: ResultFormat = ResultFormat.JSONL
) -> tuple[str, str]:
    """Name the results and the errors file of a record, or a whole shard, that came back from the dead-letter queue."""
    name = f"part-{shard_index:05d}" if position is None else f"part-{shard_index:05d}-{position:05d}"
    return (
        f"{REDRIVEN_FOLDER}/{name}.{_SUFFIXES[result_format]}",
        f"{REDRIVEN_FOLDER}/{ERRORS_FOLDER}/{name}.jsonl",
    )


_SUFFIXES: Final = {ResultFormat.JSONL: "jsonl", ResultFormat.PARQUET: "parquet"}


def results_key(uid: str) -> str:
    """Redis hash: record key -> RecordResult as JSON."""
    return f"millrace:{{{uid}}}:results"


def errors_key(uid: str) -> str:
    """Redis hash: record key -> RecordFailure as JSON."""
    return f"millrace:{{{uid}}}:errors"


def manifest_key(uid: str) -> str:
    """Redis string: the Manifest as JSON."""
    return f"millrace:{{{uid}}}:manifest"
