"""What becomes of single predictions, whatever the model and the message do."""

# ruff: noqa: D102 - the stand-ins have the methods of what they stand for

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from millrace_contracts.predictions import (
    CachedAnswer,
    Prediction,
    PredictionError,
    PredictionState,
    PredictTask,
    cache_key,
)
from millrace_worker.context import Context
from millrace_worker.errors import BatchRejected, ModelMissing, ModelUnsuitable, TritonUnavailable
from millrace_worker.inference.model import Answer, ModelSignature, TensorSpec
from millrace_worker.inference.retry_policy import Pace
from millrace_worker.settings import WorkerSettings
from millrace_worker.tasks.predict import Delivery, next_deadline, predict_items

NOW = 1000.0
FIRST = Delivery(task_id="t")


def signature(*, dims: int = 2, versions: Sequence[str] = ("1",)) -> ModelSignature:
    inputs = (TensorSpec(name="x", datatype="FP32", dims=(dims,)),)
    return ModelSignature(
        name="m", requested_version="", inputs=inputs, max_batch_size=8, versions=tuple(versions), outputs=inputs
    )


@dataclass
class Models:
    """Answers what it is asked; what it says of the model can change."""

    now: ModelSignature = field(default_factory=signature)
    version: str = "1"
    trouble: Exception | None = None
    descriptions: int = 0
    requests: int = 0

    def describe(self, name: str, version: str, *, timeout_seconds: float) -> ModelSignature:
        del name, version, timeout_seconds
        self.descriptions += 1
        if isinstance(self.trouble, ModelMissing | ModelUnsuitable):
            raise self.trouble
        return self.now

    def infer(self, signature: ModelSignature, inputs: Mapping[str, Any], **_: Any) -> Answer:
        self.requests += 1
        if self.trouble:
            raise self.trouble
        if signature.inputs != self.now.inputs:
            raise BatchRejected("unexpected shape")
        return Answer({"y": np.asarray(inputs["x"])}, self.version)


@dataclass
class Answers:
    """Keeps what it is told."""

    known: dict[str, Prediction] = field(default_factory=dict)
    settled: dict[str, Prediction] = field(default_factory=dict)
    descriptions: list[Any] = field(default_factory=list)
    knows_model: bool = False

    def read(self, ids: Sequence[str]) -> dict[str, Prediction]:
        return {one: self.known[one] for one in ids if one in self.known}

    def settle(self, predictions: Sequence[Prediction], task: PredictTask, *, description: Any = None) -> None:
        del task
        self.settled |= {one.id: one for one in predictions}
        self.descriptions.append(description)

    def is_known_model(self, name: str) -> bool:
        del name
        return self.knows_model


@dataclass
class Cache:
    """Keeps what it is told."""

    stored: dict[str, CachedAnswer] = field(default_factory=dict)

    def store(self, answers: Mapping[str, CachedAnswer], *, ttl_seconds: int) -> None:
        assert ttl_seconds == 60
        self.stored |= answers


@dataclass
class Publisher:
    """Keeps what is sent on."""

    sent: dict[str, PredictTask] = field(default_factory=dict)

    def publish_predict(self, task: PredictTask, *, task_id: str, queue: str) -> None:
        assert queue == "digits"
        self.sent[task_id] = task


@dataclass
class World:
    """A context of stand-ins."""

    models: Models = field(default_factory=Models)
    answers: Answers = field(default_factory=Answers)
    cache: Cache = field(default_factory=Cache)
    publisher: Publisher = field(default_factory=Publisher)
    time: float = NOW

    def __post_init__(self) -> None:
        settings = WorkerSettings(
            broker_url=SecretStr("amqp://"),
            redis_url=SecretStr("redis://"),
            triton_url="triton:8001",
            queue="digits",
            state_dir=Path("x"),
        )
        pace = Pace(first_pause_seconds=0.0, longest_pause_seconds=0.0, patience_seconds=0.0)
        self.context = Context(settings=settings, app=None, now=lambda: self.time, pace=pace)
        self.context.models = lambda: self.models  # type: ignore[method-assign] # a stand-in
        parts = {"answers": self.answers, "prediction_cache": self.cache, "publisher": self.publisher}
        self.context.__dict__.update(parts)

    def predict(self, delivery: Delivery = FIRST, **options: Any) -> dict[str, Prediction]:
        told = predict_items(task(**options), self.context, delivery=delivery)
        return {one.id: one for one in told}

    def codes(self, delivery: Delivery = FIRST, **options: Any) -> dict[str, str]:
        told = self.predict(delivery, **options)
        return {name: str(one.error.code) if one.error else str(one.state) for name, one in told.items()}


@pytest.fixture
def world() -> World:
    return World()


def task(records: Mapping[str, Any] | None = None, **options: Any) -> PredictTask:
    items = [{"id": name, "record": record} for name, record in (records or {"a": {"x": [1, 2]}}).items()]
    return PredictTask.model_validate({"model": {"name": "m"}, "items": items, **options})


def test_a_record_that_does_not_fit_fails_alone(world: World) -> None:
    records = {"a": {"x": [1, 2]}, "b": {"x": [1]}, "c": {"x": [3, 4]}}
    assert world.codes(records=records) == {"a": "Succeeded", "b": "InvalidRecord", "c": "Succeeded"}
    assert world.answers.settled["c"].outputs == {"y": [3.0, 4.0]}


def test_when_it_was_accepted_stays_as_it_was_said(world: World) -> None:
    world.answers.known["a"] = Prediction(id="a", state=PredictionState.PENDING, model="m", accepted_at=5.0)
    world.predict(records={"a": {"x": [1, 2]}, "b": {"x": [1, 2]}})
    assert {name: one.accepted_at for name, one in world.answers.settled.items()} == {"a": 5.0, "b": NOW}


def test_what_is_final_is_told_again_and_not_computed_again(world: World) -> None:
    done = Prediction(id="a", state=PredictionState.SUCCEEDED, model="m", outputs={"y": 7}, accepted_at=5.0)
    world.answers.known["a"] = done
    assert world.predict() == {"a": done}
    assert (world.models.requests, world.answers.settled) == (0, {})


def test_what_was_cancelled_is_neither_computed_nor_told(world: World) -> None:
    world.answers.known["a"] = Prediction(id="a", state=PredictionState.CANCELLED, model="m", accepted_at=5.0)
    assert world.predict() == {}
    assert world.models.requests == 0


def test_a_record_past_its_own_deadline_fails_and_its_neighbour_does_not(world: World) -> None:
    items = [{"id": "a", "record": {"x": [1, 2]}, "deadline": NOW - 1}, {"id": "b", "record": {"x": [1, 2]}}]
    assert world.codes(items=items) == {"a": "DeadlineExceeded", "b": "Succeeded"}


def test_a_deadline_that_passes_while_triton_is_away_ends_the_wait(world: World) -> None:
    world.models.trouble = TritonUnavailable("away")
    with pytest.raises(TritonUnavailable):
        world.predict(deadline=NOW + 5)
    world.time = NOW + 6
    assert world.codes(deadline=NOW + 5) == {"a": "DeadlineExceeded"}


def test_a_task_that_waits_is_back_at_the_next_deadline_that_has_not_passed() -> None:
    items = [{"id": str(i), "record": {}, "deadline": NOW + i} for i in (-1, 2, 3)]
    assert next_deadline(task(items=items, deadline=NOW + 9), now=NOW) == NOW + 2


def test_a_model_that_nobody_has_seen_fails_at_once(world: World) -> None:
    world.models.trouble = ModelMissing("no such model")
    assert world.codes() == {"a": "ModelNotFound"}


def test_a_model_that_was_served_before_gets_time_but_not_for_ever(world: World) -> None:
    world.models.trouble, world.answers.knows_model = ModelMissing("no such model"), True
    with pytest.raises(TritonUnavailable):
        world.predict()
    assert world.codes(replace(FIRST, retries=4)) == {"a": "ModelNotFound"}


def test_a_model_that_cannot_answer_single_records_says_so(world: World) -> None:
    world.models.trouble = ModelUnsuitable("decoupled")
    assert world.codes() == {"a": "ModelIncompatible"}


def test_triton_is_asked_about_a_model_once_for_many_tasks(world: World) -> None:
    for _ in range(3):
        world.predict()
    assert (world.models.descriptions, world.models.requests) == (1, 3)


def test_gateways_are_told_of_the_model_when_triton_was_asked(world: World) -> None:
    world.predict()
    world.predict()
    first, second = world.answers.descriptions
    assert (first.outputs[0].shape, second) == ([-1, 2], None)


def test_a_refusal_is_believed_only_of_what_triton_says_now(world: World) -> None:
    world.predict()
    world.models.now = signature(dims=3)
    assert world.codes(records={"b": {"x": [1, 2, 3]}}) == {"b": "Succeeded"}


def test_a_version_that_was_not_known_makes_triton_describe_the_model_anew(world: World) -> None:
    world.predict()
    world.models.version, world.models.now = "2", signature(versions=["2"])
    world.predict(records={"b": {"x": [1, 2]}})
    assert (world.models.descriptions, world.models.requests) == (2, 2)


def test_answers_are_cached_under_the_version_that_answered_and_failures_never(world: World) -> None:
    world.models.version = "7"
    world.predict(records={"a": {"x": [1, 2]}, "b": {"x": [1]}}, cache_ttl_seconds=60)
    assert world.cache.stored == {
        cache_key("m", "7", {"x": [1, 2]}, {}): CachedAnswer(model_version="7", outputs={"y": [1.0, 2.0]})
    }


def test_without_a_time_to_live_nothing_is_cached(world: World) -> None:
    world.predict()
    assert world.cache.stored == {}


def test_records_that_were_lost_with_a_worker_go_on_in_two_halves(world: World) -> None:
    records = {name: {"x": [1, 2]} for name in "abc"}
    assert world.predict(replace(FIRST, starts=1), records=records) == {}
    halves = {name: [item.id for item in half.items] for name, half in world.publisher.sent.items()}
    assert halves == {"t.0": ["a"], "t.1": ["b", "c"]}
    assert world.models.requests == 0


def test_a_record_that_is_alone_is_tried_again_until_it_was_lost_five_times(world: World) -> None:
    assert world.codes(replace(FIRST, starts=4)) == {"a": "Succeeded"}
    assert world.codes(replace(FIRST, starts=5)) == {"a": str(PredictionError.WORKER_LOST)}
