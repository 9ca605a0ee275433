"""Between Celery and single predictions: what becomes of their messages, and who is told the answers.

| what happened                        | what becomes of the message                                                  |
| ------------------------------------ | ---------------------------------------------------------------------------- |
| every record has its answer          | acked, after Kafka and the reply queue have confirmed where they were asked  |
| Triton, Redis, Kafka is unavailable  | published again with a countdown; past its deadline it fails instead         |
| its worker died with many records    | goes on in two halves, until the record that does it stands alone            |
| its worker died with one record      | after a few starts that record fails with WorkerLost                         |
| it cannot be understood              | dead-letter queue                                                            |
| Kafka refuses the answers for good   | answers are in Redis; dead-letter queue, and a redrive sends them again      |
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from celery.exceptions import Reject

from millrace_contracts.predictions import PREDICT, PREDICT_EVENTS, EventPredictions, Prediction, PredictTask
from millrace_contracts.streams import StreamBatch
from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.context import Context
from millrace_worker.errors import OutputUnwritable, Unavailable
from millrace_worker.kafka_message import KafkaMessage
from millrace_worker.logs import get_logger
from millrace_worker.redelivery import come_again, deliver, delivery_count, read_payload
from millrace_worker.streams import once
from millrace_worker.tasks.predict import Delivery, next_deadline, predict_items
from millrace_worker.tasks.predict_events import as_predict_tasks

_CELERY_ORIGIN: Final = re.compile(r"gen\d+@")
"""Celery's client sets reply_to on all that it sends, to a queue that need not exist or waits for something else."""

log = get_logger(__name__)


def register_predictions(app: Any, context: Context) -> None:
    """Make the tasks of single predictions known to the Celery app."""
    options = {"bind": True, "max_retries": None, "ignore_result": True, "shared": False}

    @app.task(name=PREDICT, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_predict(self: Any, payload: Any) -> None:
        task = read_payload(PredictTask, payload)
        request = self.request
        task = task.model_copy(update={"reply_to": task.reply_to or _asked_reply(request)})
        about = {"task_id": request.id, "model": task.model.name, "records": len(task.items)}

        def work() -> None:
            _tell(predict_items(task, context, delivery=_delivery(request, context)), task, context)

        # The copy is sent by Celery, and what its property reply_to says no longer counts.
        kwargs = {"payload": {**payload, "reply_to": task.reply_to}}
        _deliver(self, context, work, about=about, kwargs=kwargs, task=task)

    @app.task(name=PREDICT_EVENTS, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_predict_events(self: Any, batch: Any, predict: Any) -> None:
        events, wanted = read_payload(StreamBatch, batch), read_payload(EventPredictions, predict)
        about = {"task_id": self.request.id, "model": wanted.model.name, "events": len(events.records)}

        def work() -> None:
            delivery = _delivery(self.request, context)
            for task in as_predict_tasks(once(events, context.redis), wanted):
                _tell(predict_items(task, context, delivery=delivery), task, context)
            context.answers.mark(events)

        _deliver(self, context, work, about=about)


def _deliver(
    celery_task: Any,
    context: Context,
    work: Callable[[], None],
    *,
    about: Mapping[str, Any],
    kwargs: Mapping[str, Any] | None = None,
    task: PredictTask | None = None,
) -> None:
    def wait_or_work() -> None:
        try:
            work()
        except OutputUnwritable as error:
            log.error("message goes to the dead-letter queue: answers are in Redis only", why=str(error), **about)  # noqa: TRY400 - why
            raise Reject(str(error), requeue=False) from error
        except Unavailable as error:
            deadline = next_deadline(task, now=context.now()) if task else None
            come_again(celery_task, context, error, about=about, kwargs=kwargs, deadline=deadline)

    deliver(celery_task, context, wait_or_work, about=about)


def _tell(predictions: Sequence[Prediction], task: PredictTask, context: Context) -> None:
    """Send the answers where the task asks for it, besides Redis; a task that comes again does so again."""
    if not predictions:
        return
    if task.kafka is not None:
        topic = task.kafka.topic
        context.kafka.send(KafkaMessage(topic=topic, key=one.id, value=one.model_dump_json()) for one in predictions)
    if task.reply_to:
        context.publisher.reply(task.reply_to, predictions)


def _asked_reply(request: Any) -> str:
    is_from_celery = bool(_CELERY_ORIGIN.match(str(getattr(request, "origin", None) or "")))
    return "" if is_from_celery else str(getattr(request, "reply_to", None) or "")


def _delivery(request: Any, context: Context) -> Delivery:
    return Delivery(task_id=str(request.id), starts=_starts(request, context), retries=int(request.retries or 0))


def _starts(request: Any, context: Context) -> int:
    """Answer how often the message was begun before; a broker that does not count is helped out by Redis."""
    counted = delivery_count(request)
    if counted or not (request.delivery_info or {}).get("redelivered"):
        return counted
    if context.settings.broker_kind is BrokerKind.RABBITMQ:
        return 0
    return context.answers.count_start(str(request.id))
