"""Celery Beat with RedBeat: two replicas, one sends, the other takes over within the time of the lock.

RedBeat's own wait for the lock cannot be told from a hang, so it is replaced here by one that touches a file at each
try; the file is what the probe looks at. Without Redis both wait, and are alive.

The lock keeps replicas from competing, but it can lapse while its holder is slow. What keeps a tick from being sent
twice is its claim (see `store`), and what names it is the moment of the schedule, not that of the sending.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from celery.signals import beat_init
from redbeat.schedulers import LUA_EXTEND_TO_SCRIPT, RedBeatScheduler, acquire_distributed_beat_lock, get_redis
from redis.exceptions import LockError, RedisError

from millrace_contracts.schedules import ScheduleEntry
from millrace_worker import clock, topology
from millrace_worker.errors import BrokerUnavailable, ScheduleStoreUnavailable
from millrace_worker.logs import get_logger
from millrace_worker.publishing import translated
from millrace_worker.schedule import moments, store
from millrace_worker.schedule.outgoing import Outgoing, outgoing
from millrace_worker.schedule.served import hint, read_pools

PAUSE_SECONDS: Final = 1.0
CONFIRM_TIMEOUT_SECONDS: Final = 10
"""Well under the time of the lock, which is renewed before each tick that is sent."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DueEntry:
    """What RedBeat's loop needs of an entry: its name, and how to read it."""

    name: str
    stored: store.Stored

    @classmethod
    def from_key(cls, key: str, app: Any = None) -> Self:
        """Read the entry, or raise KeyError, on which RedBeat forgets the key."""
        stored = store.load(get_redis(app), key)
        return cls(name=stored.entry.name, stored=stored)


class Scheduler(RedBeatScheduler):  # type: ignore[misc] # redbeat has no types
    """RedBeat that shows that it ticks, or that it waits for its turn, and that outlives a Redis that is away."""

    Entry = DueEntry

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self._hints: dict[str, str] = {}
        super().__init__(*arguments, **keywords)

    def setup_schedule(self) -> None:
        """Write the chart's entries to Redis, as soon as it answers."""
        entries: list[ScheduleEntry] = self.app.conf.millrace_schedule
        while not self._did(lambda: self._install(entries)):
            self._pause()

    def tick(self, *arguments: Any, **keywords: Any) -> Any:
        """Send what is due; whoever lost the lock waits for its turn again."""
        self.show_that_it_lives()
        try:
            return super().tick(*arguments, **keywords)
        except LockError as error:
            log.warning("the lock of the schedule is lost; this replica waits for its turn", error=str(error))
            self.wait_for_turn()
        except (RedisError, ScheduleStoreUnavailable) as error:
            _warn(error)
        except BrokerUnavailable as error:
            log.warning("a scheduled task is not sent yet; the next look tries again", error=str(error))
        return PAUSE_SECONDS

    def maybe_due(self, entry: DueEntry, **_: Any) -> float:
        """Send the entry's newest tick if one is due, and answer in how many seconds to look again."""
        now = clock.seconds_since_epoch()
        client = get_redis(self.app)
        stored = entry.stored
        tick = self._left_behind(stored) or moments.latest(stored.entry, after=stored.after, until=now)
        if tick is None:
            return _seconds_until(moments.next_after(stored.entry, stored.after))
        if self.lock:
            self.lock.extend(int(self.lock_timeout))
        token = store.claim(client, stored, tick)
        if token is None:
            log.info("this tick is with another replica", schedule=entry.name)
            return PAUSE_SECONDS
        task = outgoing(stored.entry, tick, system_queue=self.app.conf.millrace_system_queue)
        if stored.sending and not task.may_be_sent_twice:
            log.warning(
                "a Beat died while it sent this tick; the task is not sent again, because it may have been",
                schedule=entry.name,
                task=task.task,
                task_id=task.task_id,
            )
        else:
            self._send(entry, task, token)
        return _seconds_until(store.finish(client, stored, token))

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

    def _install(self, entries: list[ScheduleEntry]) -> None:
        for name in store.install(get_redis(self.app), entries, now=clock.seconds_since_epoch()):
            log.warning("an entry of the chart's values replaces one that was made at run time", schedule=name)

    @staticmethod
    def _left_behind(stored: store.Stored) -> float | None:
        return store.claimed_tick(stored.sending) if stored.sending else None

    def _send(self, entry: DueEntry, task: Outgoing, token: str) -> None:
        try:
            with translated(f"publish {task.task} to queue {task.queue}"):
                self.app.send_task(
                    task.task,
                    kwargs=dict(task.kwargs),
                    task_id=task.task_id,
                    queue=topology.work_queue(task.queue, kind=self.app.conf.millrace_broker_kind),
                    headers={"celery_beat_task": True},
                    ignore_result=True,
                    # Each look at the schedule is a retry.
                    retry=False,
                    confirm_timeout=CONFIRM_TIMEOUT_SECONDS,
                )
        except BrokerUnavailable:
            store.give_back(get_redis(self.app), entry.stored, token)
            raise
        log.info("scheduled task sent", schedule=entry.name, task=task.task, task_id=task.task_id)
        self._tell_if_nobody_is_there(entry.stored.entry)

    def _tell_if_nobody_is_there(self, entry: ScheduleEntry) -> None:
        """Say once of each entry that what it sends has no pool, until it has one."""
        pools = read_pools(get_redis(self.app), now=clock.seconds_since_epoch())
        why = hint(entry, pools, system_queue=self.app.conf.millrace_system_queue)
        if why and why != self._hints.get(entry.name):
            log.warning("what a schedule sends has no pool", schedule=entry.name, why=why)
        self._hints[entry.name] = why

    def _pause(self) -> None:
        self.show_that_it_lives()
        threading.Event().wait(PAUSE_SECONDS)

    @staticmethod
    def _did(step: Callable[[], object]) -> bool:
        """Take a step on Redis; False when it did not succeed, or Redis is away."""
        try:
            return step() is not False
        except (RedisError, ScheduleStoreUnavailable) as error:
            _warn(error)
            return False


def _seconds_until(moment: float) -> float:
    # RedBeat takes 0 for "not known" and sleeps.
    return max(0.01, moment - clock.seconds_since_epoch())


def _warn(error: Exception) -> None:
    log.warning(
        "Redis does not answer; nothing is scheduled until it does", error=f"{type(error).__name__}: {str(error)[:300]}"
    )


def wait_for_turn(sender: Any = None, **_: Any) -> None:
    """Hold the start of Beat until it is this replica's turn."""
    scheduler = sender.scheduler
    if isinstance(scheduler, Scheduler) and scheduler.lock_key:
        scheduler.wait_for_turn()


beat_init.disconnect(acquire_distributed_beat_lock)
beat_init.connect(wait_for_turn)
