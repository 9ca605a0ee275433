"""Make readings of what Redis answers about a ledger. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from millrace_contracts import ledger as contract
from millrace_contracts.ledger import Field
from millrace_operator.jobs.readings import FailedRecords, Ledger, LedgerMissing, LedgerReading, LedgerUnknown

TIDIED: Final = "tidied_at"

NOTIFIED: Final = "notified:"
"""How fields begin that say who was told what."""


def say_unreachable(error: Exception) -> str:
    """Say that Redis does not answer, and what it or the network said; redis-py puts no password into messages."""
    detail = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"Redis, which holds the job ledger, does not answer ({detail[:300]})"


def understand(job: Any, failures: Any, active: Any, done_bits: Any) -> Ledger:
    """Read one job from the answers of its four commands."""
    for answer in (job, failures, active, done_bits):
        if isinstance(answer, Exception):
            return LedgerUnknown(say_unreachable(answer))
    if not job:
        return LedgerMissing()
    fields = {as_text(name): as_text(value) for name, value in job.items()}
    try:
        counts = {as_text(name): as_text(value) for name, value in failures.items()}
        return _reading(fields, counts, active=int(active), done_bits=done_bits or b"")
    except ValueError as error:
        return LedgerUnknown(f"The job ledger in Redis cannot be understood ({error})")


def _reading(fields: Mapping[str, str], failures: Mapping[str, str], *, active: int, done_bits: bytes) -> LedgerReading:
    return LedgerReading(
        state=fields.get(Field.STATE, contract.State.SUBMITTED),
        submitted_at=_seconds(fields, Field.SUBMITTED_AT),
        plan_published_at=_seconds(fields, Field.PLAN_PUBLISHED_AT),
        plan_publications=int(fields.get(Field.PLAN_PUBLICATIONS, "0")),
        total=_number(fields, Field.TOTAL),
        shards_total=_number(fields, Field.SHARDS_TOTAL),
        shards_done=int(fields.get(Field.SHARDS_DONE, "0")),
        succeeded=int(fields.get(Field.SUCCEEDED, "0")),
        failed=int(fields.get(Field.FAILED, "0")),
        retried=int(fields.get(Field.RETRIED, "0")),
        in_flight=int(fields.get(Field.IN_FLIGHT, "0")),
        first_shard_at=_seconds(fields, Field.FIRST_SHARD_AT),
        last_progress_at=_seconds(fields, Field.LAST_PROGRESS_AT),
        last_shard_at=_seconds(fields, Field.LAST_SHARD_AT),
        finalized_at=_seconds(fields, Field.FINALIZED_AT),
        output_uri=fields.get(Field.OUTPUT_URI, ""),
        manifest_uri=fields.get(Field.MANIFEST_URI, ""),
        model_version=fields.get(Field.MODEL_VERSION, ""),
        waiting_for=fields.get(Field.WAITING_FOR, ""),
        stop_reason=fields.get(Field.STOP_REASON, ""),
        stop_message=fields.get(Field.STOP_MESSAGE, ""),
        failures=_failures(failures),
        epoch=int(fields.get(Field.EPOCH, "0")),
        is_suspended=Field.SUSPENDED in fields,
        shards_dispatched=int(fields.get(Field.SHARDS_DISPATCHED, "0")),
        shards_active=active,
        done_bits=done_bits,
        cached=int(fields.get(Field.CACHED, "0")),
        ignored=int(fields.get(Field.IGNORED, "0")),
        dead_lettered=int(fields.get(Field.DEAD_LETTERED, "0")),
        **_of_operator(fields),
    )


def _of_operator(fields: Mapping[str, str]) -> dict[str, Any]:
    """Read what the operator itself noted."""
    return {
        "attempt": int(fields.get("attempt", "1")),
        "resumed_at": _seconds(fields, "resumed_at"),
        "renewed_at": _seconds(fields, "renewed_at"),
        "renewals": int(fields.get("renewals", "0")),
        "renewed_shards": int(fields.get("renewed_shards", "0")),
        "is_tidied": TIDIED in fields,
        "planned_as": fields.get("planned_as", ""),
        "notified": frozenset(name.removeprefix(NOTIFIED) for name in fields if name.startswith(NOTIFIED)),
    }


def _failures(fields: Mapping[str, str]) -> tuple[FailedRecords, ...]:
    codes = [name.removesuffix(":count") for name in fields if name.endswith(":count")]
    found = [
        FailedRecords(
            code=code,
            message=fields.get(f"{code}:message", ""),
            count=int(fields[f"{code}:count"]),
            sample_key=fields.get(f"{code}:key", ""),
        )
        for code in codes
    ]
    return tuple(sorted(found, key=lambda failed: (-failed.count, failed.code)))


def _number(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if fields.get(name) else None


def _seconds(fields: Mapping[str, str], name: str) -> float | None:
    return float(fields[name]) if fields.get(name) else None


def as_text(value: Any) -> str:
    """Read text from a connection of either kind."""
    return value.decode() if isinstance(value, bytes) else str(value)
