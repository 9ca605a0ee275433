"""Beat: two replicas, one sends what is scheduled, the other takes over."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker_client import BrokerClient
from containers import Container
from process_logs import whole_lines
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.schedules import PipelineTarget, ScheduleEntry, ScheduleKeys, TaskTarget
from millrace_worker.schedule import store
from millrace_worker.schedule.beat import DueEntry, Scheduler


class Beat:
    """One replica of Beat, as a process."""

    def __init__(self, platform: Platform, folder: Path, schedule: Path) -> None:
        folder.mkdir()
        self.tick = folder / "tick"
        self._log = folder / "beat.log"
        environment = {
            **os.environ,
            "MILLRACE_BROKER_URL": platform.broker_url,
            "MILLRACE_REDIS_URL": platform.redis_url,
            "MILLRACE_STATE_DIR": str(folder),
            "MILLRACE_BEAT_SCHEDULE_FILE": str(schedule),
        }
        command = [str(Path(sys.executable).parent / "celery"), "-A", "millrace_worker.app", "beat"]
        command += ["--pidfile="]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)

    @property
    def log(self) -> str:
        """What it logged so far."""
        return whole_lines(self._log)

    @property
    def is_active(self) -> bool:
        """Whether it holds the lock."""
        return "this replica sends what is scheduled" in self.log


@pytest.fixture
def schedule(platform: Platform, tmp_path: Path) -> Path:
    # A Beat that was killed by the test before holds the lock for half a minute more.
    for key in platform.redis.scan_iter("millrace:redbeat:*"):
        platform.redis.delete(key)
    file = tmp_path / "schedule.json"
    entry = {"name": "tick", "task": "somebody.elses", "queue": platform.queue, "everySeconds": 1, "kwargs": {"x": 1}}
    file.write_text(json.dumps([entry]))
    return file


@pytest.fixture
def beats(platform: Platform, schedule: Path, tmp_path: Path) -> Iterator[list[Beat]]:
    platform.publisher.ensure_queue(platform.queue)
    started: list[Beat] = []
    try:
        started.extend(Beat(platform, tmp_path / f"beat-{i}", schedule) for i in range(2))
        yield started
    finally:
        for beat in started:
            beat.process.kill()
            beat.process.wait(timeout=10)


def sent_ticks(platform: Platform) -> list[int]:
    """Take what was sent: the moments that the task ids name, in seconds since the epoch."""
    client = BrokerClient(platform.broker_url)
    try:
        messages = iter(lambda: client.get(platform.queue), None)
        return [int(message.headers["id"].removeprefix("tick-")) for message in messages]
    finally:
        client.close()


def test_the_killed_replica_is_replaced_within_35_seconds_and_no_tick_is_sent_twice(
    platform: Platform, beats: list[Beat]
) -> None:
    def explain() -> str:
        return "\n".join(beat.log[-2000:] for beat in beats)

    wait_until(
        lambda: any(beat.is_active for beat in beats), what="an active replica", timeout_seconds=60, explain=explain
    )
    (active,) = [beat for beat in beats if beat.is_active]
    (standby,) = [beat for beat in beats if beat is not active]
    wait_until(lambda: platform.waiting() >= 2, what="two sent tasks", explain=explain)
    wait_until(standby.tick.exists, what="the standby to wait for its turn", explain=explain)
    seen = standby.tick.stat().st_mtime
    wait_until(lambda: standby.tick.stat().st_mtime > seen, what="a sign of life of the standby", explain=explain)
    os.kill(active.process.pid, signal.SIGKILL)
    sent = platform.waiting()
    wait_until(lambda: platform.waiting() > sent, what="the other one to send", timeout_seconds=35, explain=explain)
    ticks = sent_ticks(platform)

    assert sorted(set(ticks)) == sorted(ticks)


def test_two_replicas_that_both_think_it_is_their_turn_send_each_tick_once(
    platform: Platform, beats: list[Beat]
) -> None:
    def explain() -> str:
        return "\n".join(beat.log[-2000:] for beat in beats)

    sent = 0

    def lapse() -> bool:
        nonlocal sent
        if platform.waiting() > sent:
            sent = platform.waiting()
            platform.redis.delete("millrace:redbeat::lock")
        return all("scheduled task sent" in beat.log for beat in beats)

    wait_until(lapse, what="both to have sent under a lock that lapses", timeout_seconds=120, explain=explain)
    ticks = sent_ticks(platform)

    assert sorted(set(ticks)) == sorted(ticks)


def test_beat_that_starts_without_redis_waits_for_it(
    platform: Platform, redis: Container, schedule: Path, tmp_path: Path
) -> None:
    redis.stop()
    beat = Beat(platform, tmp_path / "early", schedule)
    try:
        wait_until(beat.tick.exists, what="a sign of life without Redis", explain=lambda: beat.log)
    finally:
        redis.start()
    try:
        wait_until(lambda: beat.is_active, what="its turn", explain=lambda: beat.log)
    finally:
        beat.process.kill()
        beat.process.wait(timeout=10)


def test_beat_goes_on_after_redis_was_away(platform: Platform, redis: Container, beats: list[Beat]) -> None:
    def explain() -> str:
        return "\n".join(beat.log[-2000:] for beat in beats)

    wait_until(lambda: platform.waiting() > 0, what="a sent task", explain=explain)
    redis.stop()
    try:
        wait_until(
            lambda: any("Redis does not answer" in beat.log for beat in beats),
            what="a word about Redis",
            explain=explain,
        )
    finally:
        redis.start()
    sent = platform.waiting()
    wait_until(lambda: platform.waiting() > sent, what="the next task", timeout_seconds=60, explain=explain)

    assert [None, None] == [beat.process.poll() for beat in beats]


def left_by_a_dead_beat(platform: Platform, entry: ScheduleEntry) -> list[str]:
    """Begin a tick as a Beat that dies then, let another one look, and answer the ids of what that one sent."""
    app = platform.app
    app.conf.millrace_system_queue = platform.queue
    store.save(platform.redis, entry, now=lambda: 1_764_000_000.0)
    due = DueEntry.from_key(ScheduleKeys.entry(entry.name), app)
    assert store.claim(platform.redis, due.stored, 1_764_003_600.0)
    scheduler = Scheduler(app)
    scheduler.maybe_due(DueEntry.from_key(ScheduleKeys.entry(entry.name), app))
    store.remove(platform.redis, entry.name)
    client = BrokerClient(platform.broker_url)
    try:
        return [message.headers["id"] for message in iter(lambda: client.get(platform.queue), None)]
    finally:
        client.close()


def test_a_tick_whose_beat_died_is_sent_again_only_where_a_second_one_is_recognised(platform: Platform) -> None:
    platform.publisher.ensure_queue(platform.queue)
    pipeline = ScheduleEntry(name="runs", every_seconds=3600, pipeline=PipelineTarget(name="recommender"))
    plain = ScheduleEntry(name="plain", every_seconds=3600, task=TaskTarget(name="a.b", queue=platform.queue))

    assert ["runs-1764003600"] == left_by_a_dead_beat(platform, pipeline)
    assert [] == left_by_a_dead_beat(platform, plain)
