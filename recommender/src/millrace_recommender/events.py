"""What a user did, as the stream's task, the event log and training know it. Pure."""

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millrace_contracts.streams import StreamRecord
from millrace_recommender.errors import EventInvalid
from millrace_recommender.layout import HISTORY_LENGTH, SHARDS

WEIGHT_OF_KIND: Final[Mapping[str, float]] = {"view": 1.0, "purchase": 3.0}
"""How much more a purchase says of a taste than a look."""
CLOCK_TOLERANCE_SECONDS: Final = 60.0
"""How far the clock of whoever wrote an event may be ahead."""
FADING: Final = 0.9
"""What an event of a history counts, compared with the one after it: the taste of the moment leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One view or purchase."""

    user: str
    item: int
    weight: float
    at: float
    """Seconds since the epoch, in whole milliseconds."""

    @property
    def shard(self) -> str:
        """Name the shard that all events of this user are in."""
        return str(zlib.crc32(self.user.encode()) % SHARDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The last items of a user, the newest first, each once, with how much it counts."""

    items: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    last_at: float = 0.0
    """When the user did something last."""


def read_event(record: StreamRecord, *, now: float) -> Event:
    """Read an event of the stream, or raise EventInvalid."""
    value = record.value
    user, item, kind = value.get("user"), value.get("item"), value.get("kind")
    at = value.get("at", None if record.timestamp_ms is None else record.timestamp_ms / 1000)
    if not isinstance(user, str) or not user:
        raise EventInvalid('"user" is not a name')
    if not isinstance(item, int) or isinstance(item, bool) or item < 0:
        raise EventInvalid('"item" is not a whole number from 0')
    if not isinstance(kind, str) or kind not in WEIGHT_OF_KIND:
        raise EventInvalid(f'"kind" is none of {", ".join(WEIGHT_OF_KIND)}')
    if not isinstance(at, int | float) or isinstance(at, bool) or not math.isfinite(at) or at < 0:
        raise EventInvalid('"at" is not a time in seconds since the epoch')
    if at > now + CLOCK_TOLERANCE_SECONDS:
        # Everything else would be old beside it, and training would forget it.
        raise EventInvalid('"at" lies in the future')
    return Event(user=user, item=item, weight=WEIGHT_OF_KIND[kind], at=round(float(at), 3))


def to_history_entry(event: Event) -> str:
    """Write an event as an entry of its user's history in Redis."""
    return f"{event.item} {event.weight:g} {event.at:.3f}"


def read_history(entries: Iterable[str]) -> History:
    """Make a history of the entries in Redis, the newest first."""
    read = [entry.split(" ") for entry in entries]
    return history_of([(int(item), float(weight), float(at)) for item, weight, at in read])


def history_of(events: Sequence[tuple[int, float, float]]) -> History:
    """Make a history of (item, weight, at), the newest first: what comes again counts more, what is older less."""
    amounts: dict[int, float] = {}
    for age, (item, weight, _) in enumerate(events[:HISTORY_LENGTH]):
        amounts[item] = amounts.get(item, 0.0) + weight * FADING**age
    last_at = max((at for _, _, at in events), default=0.0)
    return History(items=tuple(amounts), weights=tuple(amounts.values()), last_at=last_at)


def to_log_fields(event: Event) -> dict[str | bytes, Any]:
    """Write an event as an entry of its shard's log in Redis."""
    return {"user": event.user, "item": event.item, "weight": event.weight, "at": f"{event.at:.3f}"}


def read_log_fields(fields: Mapping[str, str]) -> Event:
    """Read an entry of the log."""
    return Event(user=fields["user"], item=int(fields["item"]), weight=float(fields["weight"]), at=float(fields["at"]))
