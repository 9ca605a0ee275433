"""What a user is recommended, and whether that was right. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from json import dumps, loads
from typing import Self

from millrace_recommender.events import Event, History
from millrace_recommender.layout import HISTORY_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendations:
    """The top items of one user, as Redis keeps them."""

    items: tuple[int, ...]
    scores: tuple[float, ...]
    model_version: str
    event_at: float
    """The newest event that they know of, in seconds since the epoch."""
    made_at: float

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `write` wrote."""
        fields = loads(text)
        fields |= {"items": tuple(fields["items"]), "scores": tuple(fields["scores"])}
        return cls(**fields)

    def write(self) -> str:
        """Write JSON."""
        # `dataclasses.asdict` copies all values deeply, and this is done for each user of each batch.
        return dumps({name: getattr(self, name) for name in self.__slots__}, separators=(",", ":"))


@dataclass(slots=True)
class HitCount:
    """How often users went to an item that they were recommended."""

    events: int = 0
    hits: int = 0

    @property
    def rate(self) -> float | None:
        """Answer hits per event; None where there was no event."""
        return self.hits / self.events if self.events else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was known of a user before a batch of events came."""

    recommendations: Recommendations | None = None
    history: History = field(default_factory=History)


def count_hits(events: Iterable[Event], known: Mapping[str, Known]) -> dict[str, HitCount]:
    """Count hits by model version: was the item among what the user had been recommended before?

    Only items that are new to the user count: nobody is recommended what he has just seen, so what he comes back to
    says nothing. What comes later in the same batch is judged by the same recommendations.
    """
    counts: dict[str, HitCount] = {}
    seen = {user: list(state.history.items) for user, state in known.items()}
    for event in events:
        recommended, lately = known[event.user].recommendations, seen[event.user]
        if event.item in lately[:HISTORY_LENGTH]:
            continue
        lately.insert(0, event.item)
        if recommended is not None:
            count = counts.setdefault(recommended.model_version, HitCount())
            count.events += 1
            count.hits += event.item in recommended.items
    return counts


def most_popular(ranked: Sequence[int], history: History, *, count: int) -> tuple[int, ...]:
    """Answer the most popular items that the user has not just seen."""
    return tuple(item for item in ranked if item not in history.items)[:count]
