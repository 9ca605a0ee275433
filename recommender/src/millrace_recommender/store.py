"""Users, events and recommendations in Redis; what an event changes stands in one transaction with its mark."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from millrace_recommender import layout
from millrace_recommender.events import Event, History, read_history, read_log_fields, to_history_entry, to_log_fields
from millrace_recommender.recommendations import HitCount, Known, Recommendations
from millrace_worker.errors import LedgerUnavailable


class Store:
    """Reads and writes through a client that decodes responses; raises LedgerUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def known(self, users: Sequence[str]) -> dict[str, Known]:
        """Answer what is known of these users before their new events count."""
        with translated():
            pipe = self._client.pipeline(transaction=False)
            for user in users:
                pipe.get(layout.recommendations_key(user))
                pipe.lrange(layout.history_key(user), 0, -1)
            answers = iter(pipe.execute())
        known = {}
        for user in users:
            text, entries = next(answers), next(answers)
            known[user] = Known(
                recommendations=Recommendations.read(text) if text else None, history=read_history(entries)
            )
        return known

    def histories(self, users: Sequence[str]) -> dict[str, History]:
        """Answer the histories of these users as they are now."""
        with translated():
            pipe = self._client.pipeline(transaction=False)
            for user in users:
                pipe.lrange(layout.history_key(user), 0, -1)
            return dict(zip(users, map(read_history, pipe.execute()), strict=True))

    def active_users(self, *, since: float) -> list[str]:
        """Answer who did something since this time."""
        with translated():
            users: Any = self._client.zrangebyscore(layout.ACTIVE_USERS, since, "+inf")
            return list(users)

    def popular_items(self, *, now: float, count: int) -> list[int]:
        """Answer the items that were wanted most in this window and the one before."""
        keys = [layout.popular_key(now), layout.popular_key(now - layout.POPULARITY_WINDOW_SECONDS)]
        with translated():
            weights: Any = self._client.zunion(keys, withscores=True)
        ranked = sorted(((float(weight), int(item)) for item, weight in weights), reverse=True)
        return [item for _, item in ranked[:count]]

    def log(self, shard: str) -> list[Event]:
        """Answer the events of a shard's log, the oldest first."""
        with translated():
            entries: Any = self._client.xrange(layout.log_key(shard))
            return [read_log_fields(fields) for _, fields in entries]

    def write_recommendations(self, made: Mapping[str, Recommendations]) -> None:
        """Replace the recommendations of these users."""
        with translated():
            pipe = self._client.pipeline(transaction=False)
            for user, recommendations in made.items():
                pipe.set(layout.recommendations_key(user), recommendations.write(), ex=layout.RECOMMENDATION_SECONDS)
            pipe.execute()

    def note_latencies(self, seconds: Sequence[float]) -> None:
        """Keep how long events took to become recommendations."""
        if not seconds:
            return
        with translated():
            pipe = self._client.pipeline(transaction=False)
            pipe.lpush(layout.LATENCIES, *(f"{value:.4f}" for value in seconds))
            pipe.ltrim(layout.LATENCIES, 0, layout.LATENCIES_KEPT - 1)
            pipe.execute()


def put_events(pipe: Any, events: Sequence[Event], *, now: float) -> None:
    """Add events to histories, to the log for training and to what is popular, by commands of a transaction."""
    popular: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        histories[event.user].append(event)
        popular[layout.popular_key(event.at)][event.item] += event.weight
        pipe.xadd(layout.log_key(event.shard), to_log_fields(event), maxlen=layout.LOG_LENGTH, approximate=True)
    for user, own in histories.items():
        pipe.lpush(layout.history_key(user), *map(to_history_entry, own))
        pipe.ltrim(layout.history_key(user), 0, layout.HISTORY_LENGTH - 1)
        pipe.expire(layout.history_key(user), layout.ACTIVE_SECONDS)
        pipe.zadd(layout.ACTIVE_USERS, {user: own[-1].at}, gt=True)
    for key, weights in popular.items():
        for item, weight in weights.items():
            pipe.zincrby(key, weight, str(item))
        pipe.expire(key, 2 * layout.POPULARITY_WINDOW_SECONDS)
    pipe.incrby(layout.EVENTS, len(events))
    pipe.zremrangebyscore(layout.ACTIVE_USERS, "-inf", now - layout.ACTIVE_SECONDS)


def put_hits(pipe: Any, counts: Mapping[str, HitCount], *, now: float) -> None:
    """Add to the hit counts of this slot, by commands of a transaction."""
    key = layout.scores_key(layout.slot_of(now))
    for version, count in counts.items():
        pipe.hincrby(key, f"{version}:events", count.events)
        pipe.hincrby(key, f"{version}:hits", count.hits)
    if counts:
        pipe.expire(key, layout.SCORES_SECONDS)


@contextmanager
def translated() -> Iterator[None]:
    """Turn whatever Redis raises into LedgerUnavailable, upon which the message comes again."""
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise LedgerUnavailable(
            f"Redis does not serve the recommender's features: {type(error).__name__}: {error}"
        ) from error
