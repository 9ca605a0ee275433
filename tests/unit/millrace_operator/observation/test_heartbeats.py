"""What is known of workers by their heartbeats."""

from typing import Any

import pytest

from millrace_operator.model.worker import Worker
from millrace_operator.observation.heartbeats import MOST_WORKERS, WorkerBook


def heartbeat(node: str = "celery@one", kind: str = "worker-heartbeat", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "hostname": node, "freq": 2.0, "active": 1, "processed": 7, "timestamp": 5.0, **fields}


def test_a_worker_is_what_its_last_heartbeat_said_at_the_time_when_it_arrived() -> None:
    book = WorkerBook()
    book.hear(heartbeat(active=2, processed=3), now=100.0)
    book.hear(heartbeat(active=1, processed=4), now=102.0)

    assert {
        "celery@one": Worker(node="celery@one", active=1, processed=4, heard_at=102.0, first_heard_at=100.0)
    } == book.workers(102.5)


def test_a_worker_that_was_silent_for_three_of_its_intervals_is_not_listed() -> None:
    book = WorkerBook()
    book.hear(heartbeat("celery@quick"), now=100.0)
    book.hear(heartbeat("celery@slow", freq=30.0), now=100.0)

    assert {"celery@quick", "celery@slow"} == book.workers(106.0).keys()
    assert {"celery@slow"} == book.workers(106.1).keys()


def test_a_worker_that_is_heard_again_after_a_silence_is_not_new() -> None:
    book = WorkerBook()
    book.hear(heartbeat(), now=100.0)
    book.hear(heartbeat(), now=160.0)

    assert 100.0 == book.workers(160.0)["celery@one"].first_heard_at


def test_a_farewell_is_remembered_until_the_worker_is_back() -> None:
    book = WorkerBook()
    book.hear(heartbeat(kind="worker-offline"), now=100.0)
    assert book.workers(100.0)["celery@one"].is_offline

    book.hear(heartbeat(kind="worker-online"), now=101.0)
    assert not book.workers(101.0)["celery@one"].is_offline


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": "worker-heartbeat"},
        heartbeat(kind="task-sent"),
        heartbeat(active="many"),
        heartbeat(freq="often"),
        heartbeat(active=None),
    ],
)
def test_what_is_no_heartbeat_is_refused(event: dict[str, Any]) -> None:
    book = WorkerBook()
    with pytest.raises((ValueError, KeyError, TypeError)):
        book.hear(event, now=100.0)

    assert {} == book.workers(100.0)


def test_its_memory_is_bounded() -> None:
    book = WorkerBook()
    for number in range(MOST_WORKERS + 5):
        book.hear(heartbeat(f"celery@{number}"), now=100.0 + number / 1e6)

    assert MOST_WORKERS == len(book.workers(101.0))
    assert "celery@0" not in book.workers(101.0)
