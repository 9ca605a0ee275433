"""Turn `spec.input` of a PredictionJob into what workers read from. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from millrace_contracts.inputs import (
    ClaimInput,
    Compression,
    HttpInput,
    InlineInput,
    Input,
    KafkaInput,
    KafkaPosition,
    ObjectStoreInput,
    Reading,
    RecordFormat,
    TensorMapping,
)
from millrace_operator.api.timestamps import to_epoch_seconds
from millrace_operator.jobs.refusal import SpecRefused

INLINE_LIMIT_BYTES: Final = 64 * 1024
"""Inline records travel through etcd, the watch of the operator and one broker message; a file has no such limit."""

_KINDS: Final = ("inline", "persistentVolumeClaim", "objectStore", "http", "kafka")


def build_input(source: Mapping[str, Any]) -> Input:
    """Say where the records come from."""
    if sum(kind in source for kind in _KINDS) != 1:
        raise SpecRefused(
            "give exactly one of input.inline, input.persistentVolumeClaim, input.objectStore, input.http and "
            "input.kafka"
        )
    if "inline" in source:
        return _inline(_records(source["inline"]))
    if "persistentVolumeClaim" in source:
        claim = source["persistentVolumeClaim"]
        return ClaimInput(claim_name=claim["claimName"], path=claim["path"], **_patterns(claim))
    if "objectStore" in source:
        store = source["objectStore"]
        return ObjectStoreInput(uri=store["uri"], **_patterns(store))
    if "http" in source:
        return HttpInput(urls=list(source["http"]["urls"]))
    return _kafka(source["kafka"])


def build_reading(source: Mapping[str, Any]) -> Reading:
    """Say how the records are read and named."""
    return Reading(
        format=RecordFormat(source.get("format", "JSONL")),
        compression=Compression(source.get("compression", "Auto")),
        key_field=source.get("keyField", ""),
        csv_delimiter=(source.get("csv") or {}).get("delimiter", ","),
        tensor_mapping=[TensorMapping(**mapping) for mapping in source.get("tensorMapping") or ()],
    )


def _records(inline: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Take the records as the object has them, or as the watch packed them to keep the operator small."""
    packed = inline.get("packedRecords")
    records: Sequence[Mapping[str, Any]] = json.loads(packed) if packed is not None else inline.get("records") or []
    return records


def _inline(records: Sequence[Mapping[str, Any]]) -> InlineInput:
    if not records:
        raise SpecRefused("input.inline.records is empty; give at least one record")
    copied = [dict(record) for record in records]
    size_bytes = len(json.dumps(copied, ensure_ascii=False, separators=(",", ":")).encode())
    if size_bytes > INLINE_LIMIT_BYTES:
        raise SpecRefused(
            f"input.inline.records is {size_bytes:,} bytes of JSON and the limit is {INLINE_LIMIT_BYTES:,}; "
            "write the records into a JSONL file on a claim or in an object store, and name it in "
            "input.persistentVolumeClaim or input.objectStore"
        )
    return InlineInput(records=copied)


def _patterns(place: Mapping[str, Any]) -> dict[str, list[str]]:
    return {name: list(place.get(name) or ()) for name in ("includes", "excludes")}


def _kafka(kafka: Mapping[str, Any]) -> KafkaInput:
    return KafkaInput(
        topic=kafka["topic"],
        start=_position(kafka.get("start") or {"position": "Earliest"}),
        end=_position(kafka.get("end") or {"position": "Latest"}),
    )


def _position(place: Mapping[str, Any]) -> KafkaPosition:
    timestamp = place.get("timestamp")
    return KafkaPosition(
        position=place["position"],
        timestamp=None if timestamp is None else to_epoch_seconds(timestamp),
        offsets={int(each["partition"]): int(each["offset"]) for each in place.get("offsets") or ()},
    )
