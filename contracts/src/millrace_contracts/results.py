"""What a result and an error look like where users read them, and where that is.

A record ends in exactly one of the two: results hold its outputs, errors hold its input and why it failed.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

from millrace_contracts.errors import RecordError


class ErrorDetail(BaseModel):
    """Why a record has no prediction."""

    model_config = ConfigDict(frozen=True)

    code: RecordError
    message: str
    attempts: int = 1


class RecordResult(BaseModel):
    """One succeeded record: a line of `part-*.jsonl`, or a field of the results hash."""

    model_config = ConfigDict(frozen=True)

    key: str
    line: int
    outputs: dict[str, Any]


class RecordFailure(BaseModel):
    """One failed record: a line of `errors/part-*.jsonl`, or a field of the errors hash."""

    model_config = ConfigDict(frozen=True)

    key: str
    line: int
    error: ErrorDetail
    input: Any
    """The record as it was read; the raw text where it is not JSON."""


class Part(BaseModel):
    """One file that a shard wrote."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Relative to the manifest."""
    records: int
    size_bytes: int
    sha256: str
    """Of the file, in hexadecimal."""


class Manifest(BaseModel):
    """What a finished job left behind: `manifest.json` beside the part files, or the manifest key in Redis."""

    job: str
    uid: str
    model: str
    model_version: str
    records: dict[str, int]
    """total, succeeded, failed."""
    parts: list[str]
    """Part files in input order, relative to the manifest; the two hash keys for Redis."""
    finished_at: str
    """RFC 3339, UTC."""


def part_file(shard_index: int) -> str:
    """Name the results file of a shard; the same name on redelivery, so that a second run overwrites the first."""
    return f"part-{shard_index:05d}.jsonl"


def error_file(shard_index: int) -> str:
    """Name the errors file of a shard, relative to the output folder."""
    return f"errors/part-{shard_index:05d}.jsonl"


def results_key(uid: str) -> str:
    """Redis hash: record key -> RecordResult as JSON."""
    return f"millrace:{{{uid}}}:results"


def errors_key(uid: str) -> str:
    """Redis hash: record key -> RecordFailure as JSON."""
    return f"millrace:{{{uid}}}:errors"


def manifest_key(uid: str) -> str:
    """Redis string: the Manifest as JSON."""
    return f"millrace:{{{uid}}}:manifest"
