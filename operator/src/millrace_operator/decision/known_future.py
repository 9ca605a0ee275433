"""Tasks that are known to come, in time to have pods ready for them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from millrace_operator.model.outlook import Due, Outlook

MARGIN_SECONDS: Final = 2.0
"""Pods are to be ready this long before tasks come due."""
COUNTED_SECONDS: Final = 15.0
"""Tasks that arrive within this time after an occasion are counted as its own."""
_NEW_SHARE: Final = 0.5
_REMEMBERED: Final = 32


@dataclass(frozen=True, slots=True)
class Occasion:
    """A due time that has just passed, whose tasks are being counted."""

    source: str
    at: float
    arrived_before: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What was learned of the sources of known tasks: one Beat entry may fan out into a thousand tasks."""

    tasks_by_source: Mapping[str, float] = field(default_factory=dict)
    open: tuple[Occasion, ...] = ()
    expected: Outlook = ()
    """What was due soon at the last look; what is past of it opens an occasion."""
    arrived: float = 0.0
    """Total of arrivals at the last look."""
    last_at: float = -math.inf
    """When the last occasion was."""


def tasks_due(foresight: Foresight, outlook: Outlook, *, within_seconds: float, now: float) -> tuple[int, str]:
    """Count the tasks to come within a time, as many from each source as it usually brings; and name the first."""
    # What has just come due may still be on its way through the broker.
    due = [each for each in outlook if now <= each.at <= now + within_seconds]
    just = [each for each in foresight.expected if now - MARGIN_SECONDS <= each.at < now]
    due.extend(each for each in just if each not in due)
    return sum(_expected(foresight, each) for each in due), due[0].source if due else ""


def look_ahead(foresight: Foresight, outlook: Outlook, *, arrived: float | None, now: float) -> Foresight:
    """Learn from what has come due since the last look, and remember what is due next."""
    if not outlook and not foresight.open and not foresight.expected:
        return foresight
    if arrived is None:
        return replace(foresight, expected=outlook[:_REMEMBERED])
    counted = {(each.source, each.at) for each in foresight.open}
    passed = [each for each in foresight.expected if each.at <= now and (each.source, each.at) not in counted]
    opened = (*foresight.open, *(Occasion(each.source, each.at, foresight.arrived) for each in passed))
    done = [each for each in opened if now - each.at >= COUNTED_SECONDS]
    learned = dict(foresight.tasks_by_source)
    for each in done:
        count = max(1.0, arrived - each.arrived_before)
        known = learned.get(each.source)
        learned[each.source] = count if known is None else known + _NEW_SHARE * (count - known)
    keep = tuple(each for each in foresight.expected if now - MARGIN_SECONDS <= each.at <= now)
    coming = tuple(each for each in outlook if each.at > now)[:_REMEMBERED]
    remaining = tuple(each for each in opened if now - each.at < COUNTED_SECONDS)
    return Foresight(
        tasks_by_source=_bounded(learned),
        open=remaining,
        expected=(*keep, *coming),
        arrived=arrived,
        last_at=max((foresight.last_at, *(each.at for each in passed))),
    )


def _expected(foresight: Foresight, due: Due) -> int:
    return max(due.tasks, round(foresight.tasks_by_source.get(due.source, 0.0)))


def _bounded(learned: Mapping[str, float]) -> Mapping[str, float]:
    return dict(list(learned.items())[-_REMEMBERED:])
