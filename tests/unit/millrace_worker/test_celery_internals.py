"""Names inside Celery and RedBeat that the worker leans on: an upgrade that moves one fails here, not in production."""

import inspect
from collections.abc import Iterator

import pytest
from celery.app import trace
from celery.app.task import Task
from celery.signals import beat_init
from celery.worker.consumer import Consumer
from celery.worker.consumer import consumer as consumer_module
from redbeat import schedulers

from millrace_worker import lifecycle
from millrace_worker.consumer import DeadLetteringConsumer
from millrace_worker.schedule import beat


@pytest.fixture
def original() -> Iterator[object]:
    kept = consumer_module.maybe_shutdown
    yield kept
    consumer_module.maybe_shutdown = kept


def test_celery_calls_maybe_shutdown_of_its_consumer_module_while_it_reconnects() -> None:
    assert "callback=maybe_shutdown" in inspect.getsource(Consumer.ensure_connected)


def test_the_heartbeat_is_woven_into_maybe_shutdown(original: object) -> None:
    beats: list[int] = []
    lifecycle.beat_while_reconnecting(lambda: beats.append(1))
    assert consumer_module.maybe_shutdown is not original
    consumer_module.maybe_shutdown()
    assert beats == [1]


@pytest.mark.parametrize(
    "name",
    ["connect", "create_task_handler", "on_decode_error", "on_unknown_message", "on_unknown_task", "on_invalid_task"],
)
def test_our_consumer_replaces_methods_that_celery_has(name: str) -> None:
    ours = inspect.signature(getattr(DeadLetteringConsumer, name)).parameters
    theirs = inspect.signature(getattr(Consumer, name)).parameters
    if name != "create_task_handler":
        assert list(ours) == list(theirs)


def test_retry_gives_up_with_reject_where_the_copy_cannot_be_published() -> None:
    assert "raise Reject(exc, requeue=False)" in inspect.getsource(Task.retry)


def test_redbeats_own_wait_for_the_lock_is_replaced() -> None:
    receivers = [receiver for _, receiver in beat_init.receivers]
    live = [receiver() if hasattr(receiver, "__call__") else receiver for receiver in receivers]  # noqa: B004 - weakrefs
    assert beat.wait_for_turn in live
    assert schedulers.acquire_distributed_beat_lock not in live


def test_a_task_that_raises_reject_is_not_acked_by_celery() -> None:
    assert "Reject" in inspect.getsource(trace.build_tracer)
