"""What becomes of a message, by what happened to its task."""

# ruff: noqa: D102 - the stand-ins have the methods of what they stand for

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import Reject, Retry
from pydantic import SecretStr

from millrace_contracts.errors import JobFailure
from millrace_contracts.inputs import InlineShard, Shard
from millrace_contracts.outputs import RedisOutput
from millrace_contracts.tasks import PREDICT_SHARD, JobRef, JobSpec, ModelRef, ShardTask
from millrace_worker import delivery, redelivery
from millrace_worker.context import Context
from millrace_worker.errors import LedgerUnavailable, ModelMissing, TritonUnavailable
from millrace_worker.settings import WorkerSettings


class App:
    """Collects tasks as Celery does."""

    def __init__(self) -> None:
        self.tasks: dict[str, Any] = {}

    def task(self, *, name: str, **_: Any) -> Any:
        return lambda function: self.tasks.setdefault(name, function)


@dataclass
class Request:
    """The message of a task."""

    retries: int = 0
    kwargs: dict[str, Any] = field(default_factory=lambda: {"payload": {}})
    delivery_info: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] | None = None


@dataclass
class CeleryTask:
    """A bound task; `retry` ends in what it is told."""

    ending: Exception
    name: str = PREDICT_SHARD
    request: Request = field(default_factory=Request)
    retried: dict[str, Any] = field(default_factory=dict)

    def retry(self, **options: Any) -> None:
        self.retried = options
        raise self.ending


@dataclass
class Ledger:
    """Notes what it is told."""

    stopped: tuple[str, str, str] | None = None
    released: list[int] = field(default_factory=list)

    def stop(self, uid: str, *, reason: JobFailure, message: str) -> bool:
        self.stopped = (uid, str(reason), message)
        return True

    def release_shard(self, _: str, shard: int, *, waiting_for: str) -> None:
        assert waiting_for == ""
        self.released.append(shard)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def context(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(redelivery, "PAUSE_BEFORE_REQUEUE_SECONDS", 0.0)
    settings = WorkerSettings(broker_url=SecretStr("amqp://"), redis_url=SecretStr("redis://"), state_dir=Path("x"))
    context = Context(settings=settings, app=None)
    context.__dict__["ledger"] = ledger
    return context


def shard_payload() -> dict[str, Any]:
    spec = JobSpec(
        job=JobRef(namespace="n", name="j", uid="u"), model=ModelRef(name="m"), output=RedisOutput(), queue="q"
    )
    shard = Shard(index=3, first_line=1, record_count=1, source=InlineShard(records=[{}]))
    return ShardTask(spec=spec, shard=shard).model_dump(mode="json")


def run(
    context: Context, monkeypatch: pytest.MonkeyPatch, task: CeleryTask, error: Exception | None, **more: Any
) -> None:
    def predict_shard(*_: Any) -> None:
        if error:
            raise error

    monkeypatch.setattr(delivery, "predict_shard", predict_shard)
    app = App()
    delivery.register_tasks(app, context)
    app.tasks[PREDICT_SHARD](task, shard_payload(), **more)


def test_what_is_unavailable_is_tried_again_later(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    task = CeleryTask(Retry())
    with pytest.raises(Retry):
        run(context, monkeypatch, task, TritonUnavailable("Triton is away"))
    assert 1 <= task.retried["countdown"] <= 30
    assert task.retried["queue"].name == "system"
    assert task.retried["kwargs"] == {"payload": {}, "release_first": False}


def test_a_shard_that_the_ledger_could_not_take_back_is_released_at_its_next_start(
    context: Context, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = CeleryTask(Retry())
    with pytest.raises(Retry):
        run(context, monkeypatch, task, LedgerUnavailable("Redis is away"))
    assert task.retried["kwargs"]["release_first"] is True
    run(context, monkeypatch, task, None, release_first=True)
    assert ledger.released == [3]


def test_a_redelivered_shard_is_not_released_because_its_worker_may_have_died(
    context: Context, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = CeleryTask(Retry(), request=Request(delivery_info={"redelivered": True}))
    run(context, monkeypatch, task, None, release_first=True)
    assert ledger.released == []


def test_a_message_whose_copy_cannot_be_published_goes_back_to_the_queue(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = CeleryTask(Reject(OSError("broker away"), requeue=False))
    with pytest.raises(Reject) as caught:
        run(context, monkeypatch, task, TritonUnavailable("Triton is away"))
    assert caught.value.requeue is True


def test_an_impossible_job_is_stopped_with_its_reason(
    context: Context, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(context, monkeypatch, CeleryTask(Retry()), ModelMissing("no such model"))
    assert ledger.stopped == ("u", "ModelNotFound", "no such model")


def test_a_defect_sends_the_shard_back_to_the_queue(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Reject) as caught:
        run(context, monkeypatch, CeleryTask(Retry()), ZeroDivisionError())
    assert caught.value.requeue is True


def test_a_payload_that_is_not_understood_is_dead_lettered_without_showing_it(context: Context) -> None:
    app = App()
    delivery.register_tasks(app, context)
    with pytest.raises(Reject) as caught:
        app.tasks[PREDICT_SHARD](CeleryTask(Retry()), {"spec": "secret"})
    assert caught.value.requeue is False
    assert "secret" not in str(caught.value.reason)
    assert caught.value.__cause__ is None
