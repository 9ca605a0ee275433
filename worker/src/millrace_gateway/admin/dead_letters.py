"""Routes of the dead letters: messages that a pool's queue gave up."""

from collections.abc import Awaitable
from dataclasses import asdict
from typing import Annotated, Any, Final, TypeVar

from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from millrace_contracts.queues import dead_letter_queue
from millrace_gateway.admin import letters
from millrace_gateway.admin.services import AdminServices, RabbitMQ, Services
from millrace_gateway.errors import Conflict, NotFound, Unavailable

MOST_LETTERS: Final = 1000
"""Letters that one request holds in memory; whoever has more asks again."""

Answer = TypeVar("Answer")
QueueName = Annotated[str, Path(max_length=255, description="Name of the work queue whose dead letters are meant.")]

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])


class Selection(BaseModel):
    """Which letters are meant."""

    model_config = ConfigDict(extra="forbid")

    task_id: str | None = Field(default=None, alias="taskId", description="Only this task's letter; absent means all.")
    limit: int = Field(
        default=MOST_LETTERS, ge=1, le=MOST_LETTERS, description="Letters to look through, oldest first."
    )


@router.get("")
async def list_queues(services: Services, rabbitmq: RabbitMQ) -> dict[str, Any]:
    """List the pools' queues with the number of their dead letters; null where it has no dead-letter queue yet."""
    counted = [(queue, await _asked(letters.count_letters(rabbitmq, queue))) for queue in services.queues]
    return {"items": [{"queue": queue, "deadLetters": count} for queue, count in counted]}


@router.get("/{queue}")
async def show(
    services: Services,
    rabbitmq: RabbitMQ,
    queue: QueueName,
    limit: Annotated[int, Query(ge=1, le=MOST_LETTERS)] = 20,
) -> dict[str, Any]:
    """Look at the oldest dead letters of a queue; they stay where they are."""
    _check(services, queue)
    found = await _asked(letters.peek(rabbitmq, queue, limit=limit))
    return {"items": [_as_json(letter) for letter in _present(found, queue)]}


@router.post("/{queue}/redrive")
async def redrive(services: Services, rabbitmq: RabbitMQ, queue: QueueName, selection: Selection) -> dict[str, Any]:
    """Send dead letters to work again, each confirmed by RabbitMQ before it leaves."""
    _check(services, queue)
    redriving = letters.redrive(rabbitmq, queue, limit=selection.limit, task_id=selection.task_id)
    done = _present(await _asked(redriving), queue)
    _check_found(done, queue, selection)
    return {"redriven": done.taken}


@router.post("/{queue}/purge")
async def purge(services: Services, rabbitmq: RabbitMQ, queue: QueueName, selection: Selection) -> dict[str, Any]:
    """Throw dead letters away for good: one task's, or all."""
    _check(services, queue)
    if selection.task_id is None:
        return {"purged": _present(await _asked(letters.purge(rabbitmq, queue)), queue)}
    discarding = letters.discard(rabbitmq, queue, limit=selection.limit, task_id=selection.task_id)
    done = _present(await _asked(discarding), queue)
    _check_found(done, queue, selection)
    return {"purged": done.taken}


async def _asked(question: Awaitable[Answer]) -> Answer:
    try:
        return await question
    except PublishError as error:
        raise Conflict("the work queue does not exist, so the letter stays; start its pool, then try again") from error
    except DeliveryError as error:
        raise Unavailable("the work queue takes no more messages, so the letter stays; try again later") from error
    except (AMQPError, ConnectionError, TimeoutError) as error:
        raise Unavailable("RabbitMQ does not answer now; nothing was changed, try again") from error


def _check(services: AdminServices, queue: str) -> None:
    if queue not in services.queues:
        known = ", ".join(services.queues) or "none"
        raise NotFound(f"there is no pool with queue {queue!r}; the queues are: {known}")


def _present(found: Answer | None, queue: str) -> Answer:
    if found is None:
        message = f"there is no queue {dead_letter_queue(queue)!r} yet: no worker of {queue!r} has ever started"
        raise NotFound(message)
    return found


def _check_found(done: letters.Sifted, queue: str, selection: Selection) -> None:
    if selection.task_id is not None and done.taken == 0:
        message = (
            f"task {selection.task_id!r} is not among the {done.looked_through} oldest dead letters of {queue!r}; "
            "was it sent to work already?"
        )
        raise NotFound(message)


def _as_json(letter: letters.Letter) -> dict[str, Any]:
    names = {
        "died_at": "diedAt",
        "content_type": "contentType",
        "body_bytes": "bodyBytes",
        "body_preview": "bodyPreview",
    }
    return {names.get(name, name): value for name, value in asdict(letter).items()}
