"""Records that end each worker that holds them: how they are found, and set aside in the dead-letter queue.

A shard whose worker died is run carefully from then on: one request at a time, and before each it is noted which
records are at work. Whoever begins the shard after another death finds these suspects, and sends them one by one. Who
finds a single suspect has found the poison: it fails without being sent, its message goes to the dead-letter queue, and
the others go on. A death costs one of the deliveries that the queue allows (20), so a shard has few poisonous records,
or is given up whole.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kombu import Exchange

from millrace_contracts import ledger as contract
from millrace_contracts.errors import RecordError
from millrace_contracts.queues import DEAD_LETTER_EXCHANGE, dead_letter_queue
from millrace_contracts.results import ErrorDetail, RecordFailure
from millrace_contracts.tasks import PREDICT_SHARD, ShardTask
from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.context import Context
from millrace_worker.input.record import Record, fail
from millrace_worker.ledger import MAX_STARTS, translated
from millrace_worker.publishing import CONFIRM_TIMEOUT_SECONDS
from millrace_worker.publishing import translated as broker_translated

MAX_POISONOUS: Final = 6
"""Of one shard; with more it is given up whole. Each costs two deliveries, and a worker may also die by chance."""

_UNREADABLE_STARTS: Final = MAX_STARTS + 2
"""After so many starts not even reading the records is tried any more: it may be what ends the workers."""

_MOST_OF_A_KEY: Final = 253
"""Of the record's name in a header of its message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """What is known of a shard that has ended a worker."""

    suspects: Sequence[int] = ()
    """Positions to be sent one by one, before all others."""
    poisonous: frozenset[int] = frozenset()
    """Positions that are not sent at all."""


def look(task: ShardTask, context: Context, *, starts: int) -> Care | None:
    """Say how carefully a shard is to be run; None is as usual. A single suspect becomes poison here."""
    if starts <= 1:
        return None
    uid, index = task.spec.job.uid, str(task.shard.index)
    with translated():
        found: Any = context.redis.hget(contract.suspects_key(uid), index)
        known: Any = context.redis.hget(contract.poison_key(uid), index)
    poisonous = {int(position) for position in json.loads(known or "[]")}
    suspects = [int(position) for position in json.loads(found or "[]") if position not in poisonous]
    if len(suspects) == 1:
        poisonous |= set(suspects)
        _condemn(uid, index, sorted(poisonous), context)
        suspects = []
    return Care(suspects=suspects, poisonous=frozenset(poisonous))


def note(task: ShardTask, context: Context, positions: Sequence[int]) -> None:
    """Note which records are at work, in case that their worker does not come back from them."""
    with translated():
        context.redis.hset(contract.suspects_key(task.spec.job.uid), str(task.shard.index), json.dumps(list(positions)))


def clear(task: ShardTask, context: Context) -> None:
    """Forget the suspects: their worker lives."""
    with translated():
        context.redis.hdel(contract.suspects_key(task.spec.job.uid), str(task.shard.index))


def failure_of(record: Record, task: ShardTask) -> RecordFailure:
    """Fail a record that was found to be poison."""
    message = (
        "each worker that held this record died, the last one while it held nothing else; it was not sent again. "
        f'Its message is in the queue "{dead_letter_queue(task.spec.queue)}": see the logs of the pool\'s pods, and '
        "send it to work again with: millrace dlq redrive"
    )
    return fail(record, RecordError.POISON_MESSAGE, message)


def failures_of_all(
    records: Sequence[Record | RecordFailure] | None, task: ShardTask, *, limit_seconds: int
) -> list[RecordFailure]:
    """Fail all records of a shard that ends its workers; None stands for records that cannot even be read."""
    message = (
        f"each of {MAX_STARTS} workers that began this record's shard died or ran into the task time limit "
        f"({limit_seconds} s), and no single record is known to be the cause; see the logs of the pool's pods, or "
        "lower recordsPerTask"
    )
    if records is not None:
        return [
            record
            if isinstance(record, RecordFailure)
            else fail(record, RecordError.POISON_MESSAGE, message, attempts=MAX_STARTS)
            for record in records
        ]
    detail = ErrorDetail(code=RecordError.POISON_MESSAGE, message=message, attempts=MAX_STARTS)
    first, index = task.shard.first_line, task.shard.index
    return [
        RecordFailure(key=f"shard-{index}:{first + i}", line=first + i, error=detail, input=None)
        for i in range(task.shard.record_count)
    ]


def may_be_read(starts: int) -> bool:
    """Say whether reading the records of a shard that was given up is worth another try."""
    return starts <= _UNREADABLE_STARTS


def set_aside(task: ShardTask, context: Context, failures: Sequence[tuple[int, RecordFailure]]) -> None:
    """Put each of these records into the dead-letter queue; a second run leaves a second message, which does nothing.

    The message names shard and position: it stays small whatever the record's size.
    """
    context.publisher.ensure_queue(task.spec.queue)
    for position, failure in failures:
        letter = task.model_copy(update={"redrive": True, "position": position})
        task_id = f"{task.spec.job.uid}:poison:{task.shard.index}:{position}"
        publish_dead_letter(letter, context, task_id=task_id, failure=failure)


def set_all_aside(task: ShardTask, context: Context, failures: Sequence[RecordFailure]) -> int:
    """Put a whole shard into the dead-letter queue; answers how many records of it end workers."""
    positions = [i for i, failure in enumerate(failures) if failure.error.code is RecordError.POISON_MESSAGE]
    if positions:
        _condemn(task.spec.job.uid, str(task.shard.index), positions, context)
        context.publisher.ensure_queue(task.spec.queue)
        letter = task.model_copy(update={"redrive": True})
        task_id = f"{task.spec.job.uid}:poison:{task.shard.index}"
        publish_dead_letter(letter, context, task_id=task_id, failure=failures[positions[0]])
    return len(positions)


def publish_dead_letter(letter: ShardTask, context: Context, *, task_id: str, failure: RecordFailure | None) -> None:
    """Publish a task straight to the dead-letter queue of its pool, confirmed; headers say what it is."""
    app, queue, job = context.app, letter.spec.queue, letter.spec.job
    is_rabbitmq = context.settings.broker_kind is BrokerKind.RABBITMQ
    headers: dict[str, Any] = {
        "millrace-job": f"{job.namespace}/{job.name}",
        "millrace-shard": letter.shard.index,
        "millrace-error": str(RecordError.POISON_MESSAGE),
    }
    if failure is not None:
        headers |= {"millrace-key": failure.key[:_MOST_OF_A_KEY], "millrace-line": failure.line}
    message = app.amqp.create_task_message(
        task_id, PREDICT_SHARD, args=(), kwargs={"payload": letter.model_dump(mode="json")}, ignore_result=True
    )
    action = f"publish {task_id} to the dead-letter queue of {queue}"
    with broker_translated(action), app.producer_or_acquire() as producer:
        producer.publish(
            message.body,
            exchange=Exchange(DEAD_LETTER_EXCHANGE, type="topic") if is_rabbitmq else Exchange(""),
            routing_key=queue if is_rabbitmq else dead_letter_queue(queue),
            serializer="json",
            headers={**message.headers, **headers},
            retry=True,
            retry_policy=app.conf.task_publish_retry_policy,
            confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
            **message.properties,
        )


def _condemn(uid: str, index: str, positions: Sequence[int], context: Context) -> None:
    """Write down what is poison; the shard's starts count from 0 for the others."""
    with translated(), context.redis.pipeline(transaction=True) as pipe:
        pipe.hset(contract.poison_key(uid), index, json.dumps(list(positions)))
        pipe.hdel(contract.suspects_key(uid), index)
        # One, not none: the next start of the shard is still a careful one.
        pipe.hset(contract.starts_key(uid), index, 1)
        pipe.execute()
