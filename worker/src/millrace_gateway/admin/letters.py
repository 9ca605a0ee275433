"""Dead letters on RabbitMQ: look at them without taking them, send them to work again, or throw them away.

Whatever is taken and not meant to go is given back with a nack: RabbitMQ counts what a client rejects, or loses by
dying, towards the queue's delivery limit, but not a nack. So looking never wears a letter out.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from millrace_contracts.queues import EXCHANGE, dead_letter_queue

BODY_PREVIEW_BYTES: Final = 512
BACK_LOOKS: Final = 40
BACK_LOOK_SECONDS: Final = 0.05
REDRIVEN: Final = "x-millrace-redriven"
"""How often a letter was sent to work again, so that people see which ones come back."""
_BROKERS_OWN: Final = (
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-count",
    "x-acquired-count",
    "CC",
    "BCC",
)
"""What RabbitMQ wrote when the letter died says nothing about its next life."""
_LIVES_HEADER: Final = "x-death"
_ERROR_HEADER: Final = "millrace-error"
"""Of letters that a worker wrote itself; the broker knows no reason of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message that a queue gave up."""

    position: int
    """From the oldest, 0."""
    id: str
    """Of the task; empty where the message is none."""
    task: str
    reason: str
    """RabbitMQ's word: rejected, delivery_limit, expired, maxlen; empty where it did not say."""
    deaths: int
    died_at: float | None
    """Seconds since the epoch."""
    redriven: int
    content_type: str
    body_bytes: int
    body_preview: str
    record: "Record | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a worker said of the record that it put into the dead-letter queue, because it ends whoever holds it."""

    job: str
    """Namespace and name."""
    shard: int
    key: str
    """Empty where the whole shard is meant."""
    line: int | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sifted:
    """What became of the letters that were looked through."""

    taken: int
    looked_through: int


async def count_letters(connection: AbstractConnection, queue: str) -> int | None:
    """Count the dead letters of a queue; None where it has no dead-letter queue (yet)."""
    async with connection.channel() as channel:
        try:
            dead = await channel.declare_queue(dead_letter_queue(queue), passive=True)
        except ChannelNotFoundEntity:
            return None
        return dead.declaration_result.message_count


async def peek(connection: AbstractConnection, queue: str, *, limit: int) -> list[Letter] | None:
    """Look at the oldest letters and leave them where they are; None where there is no dead-letter queue."""
    async with connection.channel() as channel:
        dead = await _find(channel, queue)
        if dead is None:
            return None
        taken = await _take(dead, limit)
        await _give_back(channel, dead, taken)
        return [_letter(position, message) for position, message in enumerate(taken)]


async def redrive(connection: AbstractConnection, queue: str, *, limit: int, task_id: str | None) -> Sifted | None:
    """Publish letters to their work queue again, each confirmed before it leaves the dead-letter queue.

    A crash between the two leaves a letter in both, and its task does nothing the second time. With `task_id` only that
    task goes. A letter that dies again meanwhile is not sent a second time: where one comes back, this ends. (The
    queue's own count is no bound: RabbitMQ says 0 while a queue has no leader.)
    """

    async def send(channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
        exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        await exchange.publish(_reborn(message), routing_key=queue, mandatory=True)

    return await _sift(connection, queue, limit=limit, wanted=_named(task_id), act=send)


async def discard(connection: AbstractConnection, queue: str, *, limit: int, task_id: str) -> Sifted | None:
    """Throw one task's letters away."""

    async def nothing(_channel: AbstractChannel, _message: AbstractIncomingMessage) -> None:
        return None

    return await _sift(connection, queue, limit=limit, wanted=_named(task_id), act=nothing)


async def purge(connection: AbstractConnection, queue: str) -> int | None:
    """Throw all letters of a queue away and answer how many there were; None where there is no such queue."""
    async with connection.channel() as channel:
        dead = await _find(channel, queue)
        return None if dead is None else (await dead.purge()).message_count


async def _sift(
    connection: AbstractConnection,
    queue: str,
    *,
    limit: int,
    wanted: Callable[[AbstractIncomingMessage], bool],
    act: Any,
) -> Sifted | None:
    async with connection.channel(publisher_confirms=True, on_return_raises=True) as channel:
        dead = await _find(channel, queue)
        if dead is None:
            return None
        kept: list[AbstractIncomingMessage] = []
        seen: set[tuple[str, bytes]] = set()
        taken = 0
        try:
            while len(seen) < limit and (message := await dead.get(fail=False)) is not None:
                # Until it is acked it counts as kept: an error on the way gives it back.
                kept.append(message)
                identity = (_task_id(message), message.body)
                if identity in seen:
                    # It has died again already, or is there twice; this time it stays.
                    break
                seen.add(identity)
                if wanted(message):
                    await act(channel, message)
                    await message.ack()
                    kept.pop()
                    taken += 1
        finally:
            await _give_back(channel, dead, kept)
        return Sifted(taken=taken, looked_through=len(seen))


async def _find(channel: AbstractChannel, queue: str) -> AbstractQueue | None:
    try:
        return await channel.declare_queue(dead_letter_queue(queue), passive=True)
    except ChannelNotFoundEntity:
        return None


async def _take(dead: AbstractQueue, limit: int) -> list[AbstractIncomingMessage]:
    taken: list[AbstractIncomingMessage] = []
    while len(taken) < limit and (message := await dead.get(fail=False)) is not None:
        taken.append(message)
    return taken


async def _give_back(
    channel: AbstractChannel, dead: AbstractQueue, messages: Sequence[AbstractIncomingMessage]
) -> None:
    """Put messages back where they were, and wait until whoever asks next finds them there."""
    if channel.is_closed or not messages:
        # Of a closed channel RabbitMQ has put them back itself.
        return
    for message in messages:
        await message.nack(requeue=True)
    for _ in range(BACK_LOOKS):
        # RabbitMQ answers before the queue's log holds what it was told. Fewer may be there for good: somebody else is
        # at the queue too, so this ends in any case.
        queue = await channel.declare_queue(dead.name, passive=True)
        if (queue.declaration_result.message_count or 0) >= len(messages):
            return
        await asyncio.sleep(BACK_LOOK_SECONDS)


def _named(task_id: str | None) -> Callable[[AbstractIncomingMessage], bool]:
    return lambda message: task_id is None or _task_id(message) == task_id


def _task_id(message: AbstractIncomingMessage) -> str:
    return _text(message.headers.get("id")) or message.correlation_id or ""


def _letter(position: int, message: AbstractIncomingMessage) -> Letter:
    lives: Any = message.headers.get(_LIVES_HEADER)
    first: Any = lives[0] if isinstance(lives, list) and lives and isinstance(lives[0], dict) else {}
    died = first.get("time")
    return Letter(
        position=position,
        id=_task_id(message),
        task=_text(message.headers.get("task")),
        reason=_text(first.get("reason")) or _text(message.headers.get(_ERROR_HEADER)),
        deaths=sum(int(each.get("count", 1)) for each in lives) if isinstance(lives, list) else 0,
        died_at=died.timestamp() if hasattr(died, "timestamp") else None,
        redriven=_number(message.headers.get(REDRIVEN)),
        content_type=message.content_type or "",
        body_bytes=message.body_size,
        body_preview=message.body[:BODY_PREVIEW_BYTES].decode("utf-8", errors="replace"),
        record=_record(message.headers),
    )


def _record(headers: Mapping[str, Any]) -> Record | None:
    line = headers.get("millrace-line")
    if "millrace-job" not in headers:
        return None
    return Record(
        job=_text(headers["millrace-job"]),
        shard=_number(headers.get("millrace-shard")),
        key=_text(headers.get("millrace-key")),
        line=line if isinstance(line, int) else None,
        error=_text(headers.get(_ERROR_HEADER)),
    )


def _reborn(message: AbstractIncomingMessage) -> Message:
    headers = {name: value for name, value in message.headers.items() if not name.startswith(_BROKERS_OWN)}
    return Message(
        body=message.body,
        headers={**headers, REDRIVEN: _number(message.headers.get(REDRIVEN)) + 1},
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=message.delivery_mode,
        priority=message.priority,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
