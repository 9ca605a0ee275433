"""Turn `spec.output` of a PredictionJob into where workers write to. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

from millrace_contracts.outputs import (
    ClaimOutput,
    ExistingResults,
    KafkaOutput,
    ObjectStoreOutput,
    Ordering,
    Output,
    OutputJoin,
    RedisOutput,
    ResultFormat,
    Writing,
)
from millrace_operator.jobs.refusal import SpecRefused

_UNPLAIN: Final = re.compile(r"(^|/)[.]{0,2}/|(^|/)[.]{1,2}$")
_KINDS: Final = ("redis", "persistentVolumeClaim", "objectStore", "kafka")


def build_output(destination: Mapping[str, Any]) -> Output:
    """Say where results and errors go."""
    if sum(kind in destination for kind in _KINDS) != 1:
        raise SpecRefused(
            "give exactly one of output.redis, output.persistentVolumeClaim, output.objectStore and output.kafka"
        )
    if "redis" in destination:
        return RedisOutput(ttl_seconds=(destination["redis"] or {}).get("ttlSeconds", 86_400))
    if "kafka" in destination:
        kafka = destination["kafka"]
        return KafkaOutput(topic=kafka["topic"], errors_topic=kafka.get("errorsTopic", ""))
    if "objectStore" in destination:
        return ObjectStoreOutput(uri=_prefix(destination["objectStore"]["uri"]))
    claim = destination["persistentVolumeClaim"]
    return ClaimOutput(claim_name=claim["claimName"], path=_folder(claim["path"]))


def _folder(path: str) -> str:
    """Take a path of which it is plain where it leads; the root of a claim belongs to no single job."""
    if _UNPLAIN.search(path) or not path:
        raise SpecRefused(
            f'output.persistentVolumeClaim.path is "{path}"; give a folder below the root of the claim, such as '
            'scores/2026-11, that neither begins with "/" nor contains ".", ".." or "//"'
        )
    return path


def _prefix(uri: str) -> str:
    if "//" in uri.removeprefix("s3://"):
        raise SpecRefused(
            f'output.objectStore.uri is "{uri}"; give s3://bucket/prefix with a prefix that neither begins with "/" '
            'nor contains "//"'
        )
    return uri


def build_writing(destination: Mapping[str, Any]) -> Writing:
    """Say what results look like."""
    return Writing(
        format=ResultFormat(destination.get("format", "JSONL")),
        join=OutputJoin(destination.get("join", "Key")),
        ordering=Ordering(destination.get("ordering", "None")),
        existing_results=ExistingResults(destination.get("existingResults", "Refuse")),
    )
