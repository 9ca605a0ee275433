"""Keep the status of a job small, whatever its records, models and users call things. Pure.

Every pass of every controller and every `kubectl get` reads statuses, and etcd keeps them. What is cut is what stands
in full elsewhere: with the results, in the log, in the queue.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from millrace_operator.api.conditions import shorten

STATUS_LIMIT_BYTES: Final = 16 * 1024

Status = dict[str, Any]


def fit(status: Status) -> Status:
    """Cut a status step by step until it is small enough, what is missed least first."""
    for cut in (lambda kept: kept, *_CUTS):
        status = cut(status)
        if size_bytes(status) <= STATUS_LIMIT_BYTES:
            return status
    return status


def size_bytes(status: Mapping[str, Any]) -> int:
    """Measure a status as it is stored."""
    return len(json.dumps(status, ensure_ascii=False, separators=(",", ":")).encode())


def _completed(limit: int) -> Callable[[Status], Status]:
    def cut(status: Status) -> Status:
        listed = str(status.get("completedIndexes", ""))
        if len(listed) <= limit:
            return status
        return status | {"completedIndexes": listed[: listed.rindex(",", 0, limit) + 1] + "…"}

    return cut


def _failures(count: int, length: int) -> Callable[[Status], Status]:
    def cut(status: Status) -> Status:
        failures = [
            failed | {"message": shorten(failed["message"], length), "sampleKey": shorten(failed["sampleKey"], length)}
            for failed in (status.get("failures") or ())[:count]
        ]
        return status | {"failures": failures}

    return cut


def _messages(length: int) -> Callable[[Status], Status]:
    def cut(status: Status) -> Status:
        conditions = [each | {"message": shorten(each["message"], length)} for each in status["conditions"]]
        return status | {"conditions": conditions}

    return cut


_CUTS: Final = (
    _completed(1024),
    _failures(20, 96),
    _messages(512),
    _failures(10, 48),
    _messages(192),
    _completed(256),
)
