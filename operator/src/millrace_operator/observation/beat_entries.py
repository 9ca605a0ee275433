"""Know what Celery Beat will send, from RedBeat's entries in Redis: all of them in one round trip.

RedBeat keeps the next moment of every entry, so no schedule has to be computed here. The chart's schedules are such
entries too. What the file scheduler of a plain Celery Beat will send stands in a file of that Beat and cannot be seen.
An entry that names no queue is taken for one of Celery's default queue; which queue a task_routes of Beat's app would
choose is not known here.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from millrace_operator.errors import ObservationError
from millrace_operator.model.outlook import Due

OWN_PREFIX: Final = "millrace:redbeat:"
PREFIXES: Final = (OWN_PREFIX, "redbeat:")
"""The chart's Beat, and RedBeat's own default."""
DEFAULT_QUEUE: Final = "celery"
MOST_ENTRIES: Final = 2_000
OVERDUE_SECONDS: Final = 15.0
"""An entry may be this late and still be about to be sent; one that is later has no Beat that would send it."""
MOST_REPEATS: Final = 20

log = structlog.get_logger("millrace.observation")


@dataclass(frozen=True, slots=True)
class BeatEntry:
    """What Beat will send, and when next."""

    name: str
    queue: str
    at: float
    """Seconds since the epoch."""
    every_seconds: float | None = None
    """Of an entry with a fixed interval."""

    def due(self, *, now: float, horizon_seconds: float) -> list[Due]:
        """List the moments from now to the horizon."""
        source = f"Beat entry {self.name}"
        if not now - OVERDUE_SECONDS <= self.at <= now + horizon_seconds:
            return []
        repeats = int((now + horizon_seconds - self.at) // self.every_seconds) if self.every_seconds else 0
        moments = (self.at + number * (self.every_seconds or 0.0) for number in range(min(repeats, MOST_REPEATS) + 1))
        return [Due(at=max(moment, now), source=source) for moment in moments]


@dataclass(frozen=True, slots=True)
class BeatSchedule:
    """All entries, and whether somebody sends them."""

    entries: Sequence[BeatEntry] = ()
    is_ticking: bool | None = None
    """Whether a Beat of the chart holds RedBeat's lock, which lapses 30 s after its last tick; None: not known."""

    def due(self, queues: Collection[str], *, now: float, horizon_seconds: float) -> dict[str, list[Due]]:
        """List what Beat will send to `queues` from now to the horizon."""
        wanted = frozenset(queues)
        found: dict[str, list[Due]] = {}
        for entry in self.entries:
            if entry.queue in wanted:
                found.setdefault(entry.queue, []).extend(entry.due(now=now, horizon_seconds=horizon_seconds))
        return found


class BeatEntries:
    """Reads RedBeat's keys."""

    def __init__(self, redis: Redis, *, prefixes: Sequence[str] = PREFIXES) -> None:
        self._redis = redis
        self._prefixes = tuple(prefixes)
        self._unreadable: set[str] = set()

    async def read(self) -> BeatSchedule:
        """Read the schedule; raise ObservationError when Redis does not answer."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.exists(f"{OWN_PREFIX}:lock")
            for prefix in self._prefixes:
                key = f"{prefix}:schedule"
                pipeline.zrange(key, 0, MOST_ENTRIES - 1, withscores=True)
                # In the order of the scores as well; an entry that is gone meanwhile has no definition.
                pipeline.sort(key, by="nosort", get=["#", "*->definition"], start=0, num=MOST_ENTRIES)
            try:
                lock, *answers = await pipeline.execute()
            except (RedisError, OSError) as error:
                raise ObservationError(f"Redis does not tell what Beat will send ({type(error).__name__})") from error
        entries: list[BeatEntry] = []
        for scores, definitions in zip(answers[::2], answers[1::2], strict=True):
            entries.extend(self._entries(dict(scores), definitions))
        return BeatSchedule(entries=tuple(entries), is_ticking=bool(lock))

    def _entries(self, scores: dict[str, float], definitions: list[str | None]) -> list[BeatEntry]:
        entries = []
        for key, definition in zip(definitions[::2], definitions[1::2], strict=True):
            if key is None or definition is None or key not in scores:
                continue
            try:
                entry = _entry(json.loads(definition), scores[key])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._tell(key, error)
                continue
            if entry is not None:
                entries.append(entry)
        return entries

    def _tell(self, key: str, error: Exception) -> None:
        if key not in self._unreadable:
            why = f"{type(error).__name__}: {error}"
            log.warning("an entry of RedBeat cannot be read and pre-warms no pool", key=key, error=why)
            self._unreadable.add(key)


def _entry(definition: dict[str, Any], at: float) -> BeatEntry | None:
    if not definition.get("enabled", True):
        return None
    schedule = definition["schedule"]
    every_seconds = float(schedule["every"]) if schedule["__type__"] == "interval" else 0.0
    options = definition.get("options") or {}
    return BeatEntry(
        name=str(definition["name"]),
        queue=str(options.get("queue") or DEFAULT_QUEUE),
        at=at,
        every_seconds=every_seconds or None,
    )
