"""Send single predictions as any AMQP client does, and look at their answers."""

import uuid
from collections.abc import Mapping
from typing import Any

import amqp
from kombu import Connection
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.predictions import PREDICT, Prediction, PredictTask, prediction_key
from millrace_contracts.queues import EXCHANGE
from millrace_contracts.tasks import ModelRef
from millrace_contracts.wire import task_message
from millrace_worker import topology


def prediction_task(
    records: Mapping[str, Mapping[str, Any]], *, model: str = "identity", **options: Any
) -> PredictTask:
    """Ask for records by id."""
    items = [{"id": name, "record": dict(record)} for name, record in records.items()]
    return PredictTask.model_validate({"model": ModelRef(name=model).model_dump(), "items": items, **options})


def send_task(platform: Platform, name: str, kwargs: Mapping[str, Any], **properties: Any) -> None:
    """Publish a task by the wire format alone, without Celery."""
    message = task_message(name, task_id=str(uuid.uuid4()), kwargs=kwargs)
    with Connection(platform.broker_url) as connection, connection.channel() as channel:
        topology.declare(connection, platform.queue)
        channel.basic_publish(
            amqp.Message(message.body, application_headers=dict(message.headers), **message.properties, **properties),
            exchange=EXCHANGE,
            routing_key=platform.queue,
        )


def send_predictions(platform: Platform, task: PredictTask, **properties: Any) -> None:
    """Publish a `millrace.predict`."""
    send_task(platform, PREDICT, {"payload": task.model_dump(mode="json")}, **properties)


def read_answer(platform: Platform, prediction_id: str) -> Prediction | None:
    """Answer what Redis has."""
    text: Any = platform.redis.get(prediction_key(prediction_id))
    return Prediction.model_validate_json(text) if text else None


def wait_for_answer(platform: Platform, prediction_id: str, *, timeout_seconds: float = 60.0) -> Prediction:
    """Wait until a prediction is final."""
    found: list[Prediction] = []

    def is_final() -> bool:
        answer = read_answer(platform, prediction_id)
        if answer and answer.is_final:
            found.append(answer)
        return bool(found)

    wait_until(
        is_final,
        what=f"the answer of {prediction_id}",
        timeout_seconds=timeout_seconds,
        interval_seconds=0.02,
        explain=platform.logs,
    )
    return found[-1]
