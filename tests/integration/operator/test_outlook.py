"""What Beat will send and which tasks come due is known before it happens."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from celery.schedules import crontab, schedule
from containers import Container, free_port
from redbeat import RedBeatSchedulerEntry
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from waiters import wait_until

from millrace_operator.clock import Clock
from millrace_operator.observation.beat_entries import BeatEntries
from millrace_operator.observation.delayed_tasks import DelayedTasks
from millrace_operator.observation.outlook import FAILURE, OutlookObserver

PASSWORD = "integration"
CLOCK = Clock()
DATABASE = 7
"""No other test's Redis keys."""


def now() -> float:
    return CLOCK.now().timestamp()


@pytest.fixture
def redis_url(redis: Container) -> Iterator[str]:
    url = f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/{DATABASE}"
    yield url
    with Redis.from_url(url) as client:
        client.flushdb()


@pytest.fixture
def beat_app(redis_url: str) -> Celery:
    app = Celery("scheduling", broker="memory://", set_as_current=False)
    app.conf.update(redbeat_redis_url=redis_url, redbeat_key_prefix="millrace:redbeat:")
    return app


def save(app: Celery, name: str, when: Any, *, queue: str | None, enabled: bool = True) -> None:
    """Write an entry as RedBeat itself does."""
    options = {"queue": queue} if queue else {}
    RedBeatSchedulerEntry(name=name, task="score", schedule=when, options=options, enabled=enabled, app=app).save()


def test_entries_that_are_due_soon_are_told_by_queue(beat_app: Celery, redis_url: str, runner: asyncio.Runner) -> None:
    began = now()
    save(beat_app, "twice", schedule(timedelta(seconds=20)), queue="digits")
    save(beat_app, "nightly", crontab(minute="0", hour="3"), queue="digits")
    save(beat_app, "off", schedule(timedelta(seconds=20)), queue="digits", enabled=False)
    save(beat_app, "anywhere", schedule(timedelta(seconds=20)), queue=None)
    with Redis.from_url(redis_url) as client:
        client.hset("millrace:redbeat:broken", "definition", "{")
        client.zadd(
            "millrace:redbeat::schedule", {"millrace:redbeat:broken": began + 5, "millrace:redbeat:gone": began}
        )
        client.set("millrace:redbeat::lock", "held")
    redis = AsyncRedis.from_url(redis_url, decode_responses=True)

    beat = runner.run(BeatEntries(redis).read())
    runner.run(redis.aclose())

    due = beat.due(["digits", "celery"], now=began, horizon_seconds=45)
    assert ["Beat entry twice", "Beat entry twice"] == [each.source for each in due["digits"]]
    assert [pytest.approx(began + 20, abs=4), pytest.approx(began + 40, abs=4)] == [each.at for each in due["digits"]]
    assert ["Beat entry anywhere"] * 2 == [each.source for each in due["celery"]]
    assert beat.is_ticking


def test_without_redis_nothing_is_known_and_it_is_counted(least_powers_url: str, runner: asyncio.Runner) -> None:
    failures: list[str] = []
    redis = AsyncRedis.from_url(f"redis://127.0.0.1:{free_port()}/0", decode_responses=True)
    observer = OutlookObserver(
        beat=BeatEntries(redis),
        delayed=DelayedTasks(broker_url=least_powers_url, clock=CLOCK),
        on_failure=failures.append,
    )
    runner.run(observer.refresh())
    runner.run(redis.aclose())

    assert [FAILURE] == failures
    assert {} == observer.outlook(["digits"], now(), 60)
    assert observer.is_beat_ticking is None


def test_delayed_tasks_are_listened_to_as_soon_as_a_worker_made_their_exchange(
    observed_rabbitmq: Container, least_powers_url: str, runner: asyncio.Runner
) -> None:
    host = f"new-{uuid.uuid4().hex[:8]}"
    control = ("rabbitmqctl", "--quiet")
    observed_rabbitmq.run(*control, "add_vhost", host)
    observed_rabbitmq.run(*control, "set_permissions", "--vhost", host, "observer", ".*", ".*", ".*")
    url = least_powers_url.replace("/millrace", f"/{host}")
    delayed = DelayedTasks(broker_url=url, clock=CLOCK, not_there_seconds=1.0)
    delayed.start()
    wait_until(lambda: f"vhost '{host}'" in observed_rabbitmq.last_lines(), what="the first try")
    assert not delayed.is_listening

    with Celery("first-worker", broker=url, set_as_current=False) as app, app.connection_for_write() as connection:
        connection.default_channel.exchange_declare("celery_delayed_27", "topic", durable=True, auto_delete=False)

    wait_until(lambda: delayed.is_listening, what="the tap")
    runner.run(delayed.close())
