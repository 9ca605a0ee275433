"""Which statuses are written in a pass: news at once, mere counts now and then and never all in one pass. Pure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from millrace_operator.reporting.status import PoolReport, build_status, is_urgent, without_absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A status that could be written."""

    uid: str
    patch: Mapping[str, Any]
    """What is sent; None removes a field."""
    status: Mapping[str, Any]
    """What the status is after that."""
    is_urgent: bool
    """A decision or a condition changed."""
    written_at: float
    """When this pool's status was written last."""


def draft(report: PoolReport, *, written: Mapping[str, Any] | None, written_at: float, now: float) -> Draft | None:
    """Draft a pool's status; None when it says nothing new. `written` is None before our first write."""
    previous = report.pool.status if written is None else written
    patch = build_status(report, previous=previous, now=now)
    status = without_absent(patch)
    if status == previous:
        return None
    return Draft(
        uid=report.pool.uid,
        patch=patch,
        status=status,
        is_urgent=is_urgent(status, previous),
        written_at=written_at,
    )


def choose(
    drafts: Iterable[Draft], *, pools: int, pass_seconds: float, interval_seconds: float, now: float
) -> dict[str, Draft]:
    """Choose the urgent ones, and of the others those that waited longest: all have their turn in an interval."""
    drafts = list(drafts)
    share = math.ceil(pools * pass_seconds / interval_seconds) if interval_seconds else pools
    ordinary = [each for each in drafts if not each.is_urgent and now - each.written_at >= interval_seconds]
    turns = sorted(ordinary, key=lambda each: each.written_at)[:share]
    return {each.uid: each for each in (*(each for each in drafts if each.is_urgent), *turns)}
