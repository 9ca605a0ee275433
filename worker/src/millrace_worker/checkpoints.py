"""What a shard notes beside its results, so that a job whose ledger Redis lost goes on where it was.

A checkpoint counts only for the very same records (`shard`), and only while the parts that it names are there.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import Shard
from millrace_contracts.results import Part
from millrace_worker.ledger import FailureTally, ShardCounts
from millrace_worker.logs import get_logger

log = get_logger(__name__)


class _Tally(BaseModel):
    model_config = ConfigDict(frozen=True)

    count: int
    message: str
    key: str


class Checkpoint(BaseModel):
    """One shard that is done."""

    model_config = ConfigDict(frozen=True)

    shard: str
    """Which records it had, as `fingerprint` says."""
    planned: int
    succeeded: int
    failed: int
    retried: int
    cached: int
    ignored: int
    dead_lettered: int
    model_version: str
    failures: Mapping[RecordError, _Tally]
    parts: list[Part]


_COUNTS: Final = (
    "planned",
    "succeeded",
    "failed",
    "retried",
    "cached",
    "ignored",
    "dead_lettered",
    "model_version",
)


def fingerprint(shard: Shard) -> str:
    """Name the records of a shard: another input, or another cut of it, has other names."""
    return hashlib.sha256(shard.model_dump_json().encode()).hexdigest()


def write_checkpoint(shard: Shard, counts: ShardCounts) -> str:
    """Write down what a shard gave."""
    failures = {
        code: _Tally(count=tally.count, message=tally.message, key=tally.key) for code, tally in counts.failures.items()
    }
    return Checkpoint(
        shard=fingerprint(shard),
        failures=failures,
        parts=list(counts.parts),
        **{name: getattr(counts, name) for name in _COUNTS},
    ).model_dump_json()


def read_checkpoint(text: str, shard: Shard) -> ShardCounts | None:
    """Read what a shard gave; None where the text is damaged or speaks of other records."""
    try:
        checkpoint = Checkpoint.model_validate_json(text)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        log.warning("a checkpoint is damaged; its shard runs again", shard=shard.index, problems=problems[:3])
        return None
    if checkpoint.shard != fingerprint(shard):
        log.info("a checkpoint is of other records; its shard runs again", shard=shard.index)
        return None
    failures = {
        code: FailureTally(count=tally.count, message=tally.message, key=tally.key)
        for code, tally in checkpoint.failures.items()
    }
    return ShardCounts(
        failures=failures,
        parts=tuple(checkpoint.parts),
        **{name: getattr(checkpoint, name) for name in _COUNTS},
    )


def usable(checkpoints: Iterable[tuple[int, str]], shards: Mapping[int, Shard]) -> Iterator[tuple[int, ShardCounts]]:
    """Answer the checkpoints that speak of these shards."""
    for index, text in checkpoints:
        shard = shards.get(index)
        counts = read_checkpoint(text, shard) if shard else None
        if counts:
            yield index, counts
