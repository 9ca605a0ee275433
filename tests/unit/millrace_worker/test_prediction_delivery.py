"""What becomes of the messages of single predictions, and who is told the answers."""

# ruff: noqa: D102 - the stand-ins have the methods of what they stand for

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Reject, Retry
from pydantic import SecretStr

from millrace_contracts.predictions import PREDICT, Prediction, PredictionState
from millrace_worker import prediction_delivery
from millrace_worker.context import Context
from millrace_worker.errors import AnswersUnavailable, KafkaUnavailable, OutputUnwritable
from millrace_worker.kafka_message import KafkaMessage
from millrace_worker.redelivery import DELIVERY_COUNT_HEADER
from millrace_worker.settings import WorkerSettings
from millrace_worker.tasks.predict import Delivery

ANSWER = Prediction(id="a", state=PredictionState.SUCCEEDED, model="m", outputs={"y": 1}, accepted_at=1.0)
PAYLOAD = {"model": {"name": "m"}, "items": [{"id": "a", "record": {}}], "kafka": {"topic": "t"}}


class App:
    """Collects tasks as Celery does."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}

    def task(self, *, name: str, **_: Any) -> Any:
        return lambda function: self.tasks.setdefault(name, function)


@dataclass
class Request:
    """The message of a task."""

    id: str = "t"
    retries: int = 0
    origin: str = ""
    reply_to: str | None = None
    kwargs: dict[str, Any] = field(default_factory=lambda: {"payload": PAYLOAD})
    delivery_info: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] | None = None


@dataclass
class World:
    """One message and all that it meets."""

    request: Request = field(default_factory=Request)
    trouble: Exception | None = None
    kafka_trouble: Exception | None = None
    produced: list[KafkaMessage] = field(default_factory=list)
    replied: list[tuple[str, Sequence[Prediction]]] = field(default_factory=list)
    delivery: Delivery | None = None
    retried: dict[str, Any] = field(default_factory=dict)

    def retry(self, **options: Any) -> None:
        self.retried = options
        raise Retry

    def send(self, messages: Any) -> None:
        if self.kafka_trouble:
            raise self.kafka_trouble
        self.produced += messages

    def reply(self, queue: str, predictions: Sequence[Prediction]) -> None:
        self.replied.append((queue, predictions))

    def predict_items(self, _: Any, __: Any, *, delivery: Delivery) -> list[Prediction]:
        self.delivery = delivery
        if self.trouble:
            raise self.trouble
        return [ANSWER]

    def run(self) -> None:
        settings = WorkerSettings(broker_url=SecretStr("amqp://"), redis_url=SecretStr("redis://"), state_dir=Path("x"))
        context, app = Context(settings=settings, app=None, now=lambda: 1000.0), App()
        context.__dict__.update(kafka=self, publisher=self)
        prediction_delivery.register_predictions(app, context)
        app.tasks[PREDICT](self, PAYLOAD)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(prediction_delivery, "predict_items", world.predict_items)
    return world


def test_answers_go_to_kafka_with_their_id_as_key(world: World) -> None:
    world.run()
    assert [(one.topic, one.key, one.value) for one in world.produced] == [("t", "a", ANSWER.model_dump_json())]


def test_answers_go_to_the_queue_that_the_message_names(world: World) -> None:
    world.request.reply_to = "mine"
    world.run()
    assert world.replied == [("mine", [ANSWER])]


def test_the_queue_that_celerys_own_client_names_wants_no_answers(world: World) -> None:
    world.request.reply_to, world.request.origin = "c0ffee", "gen42@host"
    world.run()
    assert world.replied == []


@pytest.mark.parametrize("trouble", [AnswersUnavailable("Redis is away"), KafkaUnavailable("Kafka is away")])
def test_a_message_comes_again_and_still_knows_who_wants_the_answers(world: World, trouble: Exception) -> None:
    world.request.reply_to, world.kafka_trouble = "mine", trouble
    with pytest.raises(Retry):
        world.run()
    assert world.retried["kwargs"] == {"payload": {**PAYLOAD, "reply_to": "mine"}}
    assert world.replied == []


def test_answers_that_kafka_will_never_take_are_kept_in_the_dead_letter_queue(world: World) -> None:
    world.kafka_trouble = OutputUnwritable("there is no such topic")
    with pytest.raises(Reject) as caught:
        world.run()
    assert caught.value.requeue is False


def test_the_queue_says_how_often_workers_were_lost_with_a_message_and_a_copy_begins_anew(world: World) -> None:
    world.request.headers = {DELIVERY_COUNT_HEADER: 3, "mine": "kept"}
    world.trouble = AnswersUnavailable("Redis is away")
    with pytest.raises(Retry):
        world.run()
    assert world.delivery == Delivery(task_id="t", starts=3)
    assert world.retried["headers"] == {"mine": "kept"}
