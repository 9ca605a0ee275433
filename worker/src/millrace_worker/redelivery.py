"""How a message ends well whatever happens to its task: for Millrace's own tasks and for those of a team alike.

    @app.task(name="features.update", bind=True, max_retries=None)
    def update(self, batch):
        deliver(self, context, lambda: ..., about={"stream": "activity"})

An Unavailable publishes the message again with a countdown, for ever, and frees the slot meanwhile. Anything else that
is raised gives the message back to the queue, which dead-letters it after its delivery limit.
"""

import math
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from celery.exceptions import Reject, Retry
from pydantic import BaseModel, ValidationError

from millrace_worker import topology
from millrace_worker.context import Context
from millrace_worker.errors import Unavailable
from millrace_worker.inference.retry_policy import redelivery_seconds
from millrace_worker.logs import get_logger

PAUSE_BEFORE_REQUEUE_SECONDS: Final = 2.0
"""A message that goes back comes again at once, and the queue gives it up after 20 times."""

DELIVERY_COUNT_HEADER: Final = "x-delivery-count"
"""What a quorum queue writes onto a message that it delivers again: how often it was given back or its worker died."""

P = TypeVar("P", bound=BaseModel)

log = get_logger(__name__)


def read_payload(kind: type[P], payload: Any) -> P:
    """Read a payload, or dead-letter the message without showing its records."""
    try:
        return kind.model_validate(payload)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        log.error("message goes to the dead-letter queue: its payload is not understood", problems=problems[:5])  # noqa: TRY400 - records
        # The cause holds the records, and would be logged with them.
        raise Reject(f"payload of {kind.__name__} not understood: {len(problems)} problems", requeue=False) from None


def deliver(celery_task: Any, context: Context, work: Callable[[], None], *, about: Mapping[str, Any]) -> None:
    """Do the work of one message; `about` is what log lines name."""
    try:
        work()
    except Unavailable as error:
        come_again(celery_task, context, error, about=about)
    except (Retry, Reject):
        raise
    except Exception as error:
        log.exception("task failed unexpectedly; its message goes back to the queue", **about)
        pause()
        raise Reject(f"{type(error).__name__}: {error}", requeue=True) from error


def come_again(
    celery_task: Any,
    context: Context,
    error: Unavailable,
    *,
    about: Mapping[str, Any],
    kwargs: Mapping[str, Any] | None = None,
    deadline: float | None = None,
    countdown_seconds: int | None = None,
) -> None:
    """Publish the message again with a countdown, and end this one; back to the queue if RabbitMQ takes no copy."""
    request = celery_task.request
    countdown = countdown_seconds or redelivery_seconds(request.retries, jitter=random.random())  # noqa: S311 - spreads load
    if deadline is not None:
        # Then it must be there to say that it came too late.
        countdown = max(1, min(countdown, math.ceil(deadline - context.now())))
    log.warning("task waits", waiting_for=str(error), comes_again_in_seconds=countdown, **about)
    options: dict[str, Any] = {}
    if delivery_count(request):
        # The copy is a new message: its queue counts from 0 and would show the old number until then.
        options["headers"] = {k: v for k, v in request.headers.items() if k != DELIVERY_COUNT_HEADER}
    try:
        celery_task.retry(
            kwargs=dict(request.kwargs if kwargs is None else kwargs),
            countdown=countdown,
            queue=topology.work_queue(context.settings.queue, kind=context.settings.broker_kind),
            **options,
        )
    except Reject as refusal:
        log.warning("RabbitMQ did not take the copy; the message goes back to the queue", **about)
        pause()
        raise Reject(str(refusal.reason), requeue=True) from error


def delivery_count(request: Any) -> int:
    """Answer how often this message was given back or lost with its worker; 0 where no queue counts."""
    headers = getattr(request, "headers", None) or {}
    return int(headers.get(DELIVERY_COUNT_HEADER) or 0)


def pause() -> None:
    """Wait a moment before a message goes back to the queue."""
    threading.Event().wait(PAUSE_BEFORE_REQUEUE_SECONDS)
