"""A task that does nothing with an event but count it, so that none is lost and none is done twice can be seen.

Its worker imports it by MILLRACE_TASK_MODULES.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import redis

from millrace_contracts.streams import StreamBatch
from millrace_worker.context import Context
from millrace_worker.redelivery import deliver
from millrace_worker.streams import run_once

TASK: Final = "benchmark.count_events"
MODULE: Final = __name__


def effects_key(topic: str) -> str:
    """Redis hash: "partition:offset" -> how often the event had its effect."""
    return f"benchmark:effects:{topic}"


def register(app: Any, context: Context) -> None:
    """Make the task known to a worker."""

    @app.task(name=TASK, bind=True, max_retries=None, ignore_result=True, shared=False)  # type: ignore[untyped-decorator] # celery has no types
    def count_events(self: Any, batch: Any) -> None:
        known = StreamBatch.model_validate(batch)
        deliver(self, context, lambda: _count(known, context.redis), about={"stream": known.stream})


def _count(batch: StreamBatch, client: redis.Redis) -> None:
    def effects(todo: StreamBatch, transaction: Any) -> None:
        for event in todo.records:
            transaction.hincrby(effects_key(todo.topic), f"{todo.partition}:{event.offset}", 1)

    run_once(batch, client, effects)


def counted(client: redis.Redis, topic: str) -> Mapping[str, int]:
    """Answer how often each event had its effect, by "partition:offset"."""
    found: Any = client.hgetall(effects_key(topic))
    return {_text(place): int(times) for place, times in found.items()}


def lost(wanted: Iterable[str], seen: Mapping[str, int]) -> int:
    """Count the events without an effect."""
    return sum(place not in seen for place in wanted)


def doubled(seen: Mapping[str, int]) -> int:
    """Count the effects beyond the first of each event."""
    return sum(times - 1 for times in seen.values())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
