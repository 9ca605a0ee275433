"""Celery Beat with RedBeat: two replicas, one sends, the other takes over within the time of the lock.

RedBeat's own wait for the lock cannot be told from a hang, so it is replaced here by one that touches a file at each
try; the file is what the probe looks at. Without Redis both wait, and are alive.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from celery.schedules import crontab, schedule
from celery.signals import beat_init
from redbeat.schedulers import LUA_EXTEND_TO_SCRIPT, RedBeatScheduler, acquire_distributed_beat_lock, get_redis
from redis.exceptions import LockError, RedisError

from millrace_worker.errors import SettingsInvalid
from millrace_worker.logs import get_logger
from millrace_worker.settings import WorkerSettings

LOCK_SECONDS: Final = 30
TICK_SECONDS: Final = 5
PAUSE_SECONDS: Final = 1.0

log = get_logger(__name__)


class Scheduler(RedBeatScheduler):  # type: ignore[misc] # redbeat has no types
    """RedBeat that shows that it ticks, or that it waits for its turn, and that outlives a Redis that is away."""

    def setup_schedule(self) -> None:
        """Write the entries to Redis, as soon as it answers."""
        while not self._did(super().setup_schedule):
            self._pause()

    def tick(self, *arguments: Any, **keywords: Any) -> Any:
        """Send what is due; whoever lost the lock waits for its turn again."""
        self.show_that_it_lives()
        try:
            return super().tick(*arguments, **keywords)
        except LockError as error:
            log.warning("the lock of the schedule is lost; this replica waits for its turn", error=str(error))
            self.wait_for_turn()
        except RedisError as error:
            _warn(error)
        return PAUSE_SECONDS

    def wait_for_turn(self) -> None:
        """Wait until this replica holds the lock."""
        client = get_redis(self.app)
        lock = client.lock(self.lock_key, timeout=self.lock_timeout)
        # As RedBeat does: extend to the timeout instead of by it.
        lock.lua_extend = client.register_script(LUA_EXTEND_TO_SCRIPT)
        log.info("waiting for the lock of the schedule", lock_seconds=self.lock_timeout)
        while not self._did(lambda: lock.acquire(blocking=False)):
            self._pause()
        self.lock = lock
        log.info("this replica sends what is scheduled")

    def close(self) -> None:
        """Release the lock, so that the other replica need not wait until it expires."""
        try:
            super().close()
        except RedisError as error:
            log.warning("the lock of the schedule could not be released; it expires by itself", error=str(error))

    def show_that_it_lives(self) -> None:
        """Touch the file that the probe looks at."""
        file = Path(self.app.conf.millrace_tick_file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def _pause(self) -> None:
        self.show_that_it_lives()
        threading.Event().wait(PAUSE_SECONDS)

    @staticmethod
    def _did(step: Callable[[], object]) -> bool:
        """Take a step on Redis; False when it did not succeed, or Redis is away."""
        try:
            return step() is not False
        except RedisError as error:
            _warn(error)
            return False


def _warn(error: RedisError) -> None:
    log.warning("Redis does not answer; nothing is scheduled until it does", error=f"{type(error).__name__}: {error}")


def wait_for_turn(sender: Any = None, **_: Any) -> None:
    """Hold the start of Beat until it is this replica's turn."""
    scheduler = sender.scheduler
    if isinstance(scheduler, Scheduler) and scheduler.lock_key:
        scheduler.wait_for_turn()


beat_init.disconnect(acquire_distributed_beat_lock)
beat_init.connect(wait_for_turn)


def read_entries(settings: WorkerSettings) -> Sequence[Mapping[str, Any]]:
    """Read the list of schedules, which only Beat has."""
    file = settings.beat_schedule_file
    if file is None:
        return ()
    try:
        entries: Sequence[Mapping[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"MILLRACE_BEAT_SCHEDULE_FILE {file} cannot be read: {error}") from error
    for entry in entries:
        if ("cron" in entry) == ("everySeconds" in entry):
            raise SettingsInvalid(f'schedule "{entry.get("name", "?")}": give exactly one of cron and everySeconds')
    return entries


def beat_schedule(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Turn the list into Celery's setting; a queue must be among the app's queues."""
    return {
        entry["name"]: {
            "task": entry["task"],
            "schedule": _when(entry),
            "kwargs": dict(entry.get("kwargs") or {}),
            "options": {"queue": entry["queue"]},
        }
        for entry in entries
    }


def _when(entry: Mapping[str, Any]) -> Any:
    if "everySeconds" in entry:
        return schedule(run_every=float(entry["everySeconds"]))
    try:
        return crontab.from_string(entry["cron"])
    except ValueError as error:
        raise SettingsInvalid(f'schedule "{entry["name"]}": cron "{entry["cron"]}" is not valid: {error}') from error
