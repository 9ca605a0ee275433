"""What readings of the scoreboard say of each version: how good it was when new, and when it was replaced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

POPULARITY: Final = "popularity"
"""What everybody gets while there is no model: version of the recommendations that come from none."""
SHOWN_SECONDS: Final = 40.0
"""A version is new for so long, and so long before its end it is judged as aged."""
MAIN_SHARE: Final = 0.25
"""A slot with fewer events than this part of the version's best is left out: users who do nothing keep old answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Events of some seconds that were judged by one version's recommendations."""

    began_at: float
    version: str
    events: int
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The scoreboard at one moment; None is not known."""

    read_at: float
    slots: Sequence[Slot]
    latency_p50_seconds: float | None
    latency_p95_seconds: float | None
    newest_event_at: float | None
    events: int

    @property
    def behind_seconds(self) -> float | None:
        """How old the newest event is that was taken in."""
        return None if self.newest_event_at is None else max(self.read_at - self.newest_event_at, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionWorth:
    """Shares of events that went to an item which had been recommended; None is not known."""

    version: str
    began_at: float
    when_new: float | None
    when_aged: float | None
    new_seconds: float
    """How long it has been in use, while it was."""
    events: int


def read_reading(board: Mapping[str, Any]) -> Reading:
    """Read a line of the scoreboard."""
    return Reading(
        read_at=board["read_at"],
        slots=[Slot(**slot) for slot in board["slots"]],
        latency_p50_seconds=board["latency_p50_seconds"],
        latency_p95_seconds=board["latency_p95_seconds"],
        newest_event_at=board["newest_event_at"],
        events=board["events"],
    )


class Story:
    """Gathers readings from a moment on."""

    def __init__(self, *, since: float) -> None:
        self._since = since
        self._slots: dict[tuple[float, str], Slot] = {}
        self._readings: list[Reading] = []

    def add(self, reading: Reading) -> None:
        """Take in a reading; a later one of the same slot counts."""
        self._readings.append(reading)
        for slot in reading.slots:
            if slot.began_at >= self._since:
                self._slots[slot.began_at, slot.version] = slot

    @property
    def latest(self) -> Reading | None:
        """The last reading."""
        return self._readings[-1] if self._readings else None

    @property
    def events_per_second(self) -> float | None:
        """Events taken in between the last two readings."""
        if len(self._readings) < 2:  # noqa: PLR2004 - a rate is between two
            return None
        before, now = self._readings[-2:]
        return (now.events - before.events) / max(now.read_at - before.read_at, 0.001)

    @property
    def versions(self) -> list[VersionWorth]:
        """All versions that were in use, in their order."""
        by_version: dict[str, list[Slot]] = {}
        for _, slot in sorted(self._slots.items()):
            by_version.setdefault(slot.version, []).append(slot)
        # By the middle of their use: two that meet in one slot begin at the same time.
        return [_worth(slots) for slots in sorted(by_version.values(), key=_middle)]

    @property
    def trainings(self) -> list[tuple[VersionWorth, VersionWorth]]:
        """Each change to a new model: what was in use before, and the new version."""
        versions = self.versions
        return [(before, new) for before, new in pairwise(versions) if new.version != POPULARITY]

    def has_seen(self, trainings: int) -> bool:
        """Say whether so many new models came, and the last was in use long enough to be judged."""
        seen = self.trainings
        return len(seen) >= trainings and seen[trainings - 1][1].new_seconds >= SHOWN_SECONDS


def _middle(slots: Sequence[Slot]) -> float:
    return sum(slot.began_at * slot.events for slot in slots) / max(sum(slot.events for slot in slots), 1)


def _worth(slots: Sequence[Slot]) -> VersionWorth:
    most = max(slot.events for slot in slots)
    main = [slot for slot in slots if slot.events >= MAIN_SHARE * most]
    first, last = main[0].began_at, main[-1].began_at
    return VersionWorth(
        version=slots[0].version,
        began_at=first,
        when_new=_rate([slot for slot in main if slot.began_at < first + SHOWN_SECONDS]),
        when_aged=_rate([slot for slot in main if slot.began_at > last - SHOWN_SECONDS]),
        new_seconds=last - first,
        events=sum(slot.events for slot in slots),
    )


def _rate(slots: Sequence[Slot]) -> float | None:
    events = sum(slot.events for slot in slots)
    return sum(slot.hits for slot in slots) / events if events else None
