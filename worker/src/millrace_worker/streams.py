"""Do the work of a stream's batch once, however often Kafka, the bridge or RabbitMQ brings it.

A bridge that dies between publish and commit publishes again, in batches that may be cut elsewhere; RabbitMQ delivers a
message again when its worker dies. So what is done is kept as ranges of offsets in Redis, and effects in the same Redis
become exact by standing in one transaction with their mark:

    @app.task(name="features.update", bind=True)
    def update(self, batch):
        def effects(todo, pipe):
            for event in todo.records:
                pipe.hincrby(f"views:{event.value['user']}", event.value["item"], 1)

        run_once(StreamBatch.model_validate(batch), client, effects)

Effects elsewhere (a model, another database) come before the mark and may be repeated after a crash: make them so that
doing them again changes nothing, take the events from `once`, and call `mark_done` last.
"""

from collections.abc import Callable
from typing import Any, Final

import redis

from millrace_contracts.streams import DONE_RETENTION_SECONDS, MARK_DONE_SCRIPT, StreamBatch, done_key
from millrace_worker.errors import AnswersUnavailable

ATTEMPTS: Final = 20
"""How often a transaction is tried while other workers mark ranges of the same partition."""

Ranges = list[tuple[int, int]]


def run_once(batch: StreamBatch, client: redis.Redis, effects: Callable[[StreamBatch, Any], None]) -> StreamBatch:
    """Do the effects of the events that are not done, and mark them, in one transaction; answers what was done.

    `effects` gets the events that are left and a transaction to put commands into. It may be called again with fewer
    events when another worker was quicker, so all that it does must be commands of the transaction. On Redis Cluster
    their keys need the hash tag of `done_key`.
    """
    key = done_key(batch.stream, batch.topic, batch.partition, topic_id=batch.topic_id)
    try:
        for _ in range(ATTEMPTS):
            with client.pipeline(transaction=True) as pipe:
                pipe.watch(key)  # type: ignore[no-untyped-call] # redis has no type here
                done = _ranges(pipe.zrangebyscore(key, "-inf", f"({batch.to_offset}"))
                if is_covered(done, batch.from_offset, batch.to_offset):
                    return batch.model_copy(update={"records": []})
                todo = remaining(batch, done)
                pipe.multi()
                effects(todo, pipe)
                mark_done(batch, pipe)
                try:
                    pipe.execute()
                except redis.exceptions.WatchError:
                    continue
                return todo
    except redis.exceptions.RedisError as error:
        raise AnswersUnavailable(f"Redis does not take events: {type(error).__name__}: {error}") from error
    raise AnswersUnavailable(f"other workers keep marking events of {batch.topic}-{batch.partition}; this batch waits")


def once(batch: StreamBatch, client: redis.Redis) -> StreamBatch:
    """Answer the batch with only those events that are not done."""
    key = done_key(batch.stream, batch.topic, batch.partition, topic_id=batch.topic_id)
    try:
        members = client.zrangebyscore(key, "-inf", f"({batch.to_offset}")
    except redis.exceptions.RedisError as error:
        raise AnswersUnavailable(f"Redis does not say what is done: {type(error).__name__}: {error}") from error
    return remaining(batch, _ranges(members))


def mark_done(batch: StreamBatch, pipe: Any) -> None:
    """Mark the whole range of the batch by a command of this client, pipeline or transaction."""
    key = done_key(batch.stream, batch.topic, batch.partition, topic_id=batch.topic_id)
    pipe.eval(MARK_DONE_SCRIPT, 1, key, batch.from_offset, batch.to_offset, DONE_RETENTION_SECONDS)


def remaining(batch: StreamBatch, done: Ranges) -> StreamBatch:
    """Leave out the events that lie in a range that is done. Pure."""
    left = [event for event in batch.records if not any(start <= event.offset < end for start, end in done)]
    return batch.model_copy(update={"records": left})


def is_covered(done: Ranges, start: int, end: int) -> bool:
    """Say whether one of these disjoint, merged ranges holds all of [start, end). Pure."""
    return any(known_start <= start and end <= known_end for known_start, known_end in done)


def add_range(done: Ranges, start: int, end: int) -> Ranges:
    """Add [start, end) and merge neighbours, as the script does in Redis. Pure."""
    apart = [(a, b) for a, b in done if b < start or a > end]
    touching = [(a, b) for a, b in done if not (b < start or a > end)]
    return sorted([*apart, (min([start, *(a for a, _ in touching)]), max([end, *(b for _, b in touching)]))])


def _ranges(members: Any) -> Ranges:
    return [(int(start), int(end)) for start, end in (_text(member).split("-") for member in members)]


def _text(member: Any) -> str:
    return member.decode() if isinstance(member, bytes) else str(member)
