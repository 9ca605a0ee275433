"""The schedule in Redis: what people ask of it, and what Beat does to it. Needs neither Celery nor a Beat that runs.

A tick is over once `after` has reached it, and only one sender can get it there: it claims the tick, sends, then
finishes it, each by a script that does nothing if another was there before. So two Beats that both think that it is
their turn send a tick once.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis
from pydantic import ValidationError
from redis.exceptions import RedisError

from millrace_contracts import wire
from millrace_contracts.queues import SYSTEM_QUEUE
from millrace_contracts.schedules import Origin, ScheduleEntry, ScheduleKeys, ScheduleState
from millrace_contracts.schedules import ScheduleFields as Field
from millrace_worker import clock
from millrace_worker.errors import (
    ScheduleInvalid,
    ScheduleNotFound,
    ScheduleOwned,
    ScheduleStoreUnavailable,
)
from millrace_worker.schedule import moments, scripts
from millrace_worker.schedule.outgoing import outgoing

Now = Callable[[], float]

ORIGIN_OF_THE_SENDER: Final = "millrace-schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """A task that whoever asked for it publishes, with the queue's name as routing key."""

    queue: str
    message: wire.Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An entry as Beat finds it."""

    entry: ScheduleEntry
    after: float
    sending: str
    """What another sender left, or is at; empty when nobody is."""

    @property
    def key(self) -> str:
        """Of its hash, and of its place in the sorted set."""
        return ScheduleKeys.entry(self.entry.name)


def list_entries(client: redis.Redis) -> list[ScheduleState]:
    """List all entries by name."""
    with _translated():
        names = sorted(_names(client))
        pipeline = client.pipeline(transaction=False)
        for name in names:
            pipeline.hgetall(ScheduleKeys.entry(name))
            pipeline.zscore(ScheduleKeys.SCHEDULE, ScheduleKeys.entry(name))
        answers = pipeline.execute()
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return [_state(fields, score) for fields, score in pairs if Field.ENTRY in fields]


def get_entry(client: redis.Redis, name: str) -> ScheduleState:
    """Answer one entry."""
    with _translated():
        fields: Any = client.hgetall(ScheduleKeys.entry(name))
        score: Any = client.zscore(ScheduleKeys.SCHEDULE, ScheduleKeys.entry(name))
    if Field.ENTRY not in fields:
        raise _not_found(name)
    return _state(fields, score)


def save(client: redis.Redis, entry: ScheduleEntry, *, now: Now = clock.seconds_since_epoch) -> None:
    """Make a user's entry, or replace it; its next tick is computed anew only if its time changed."""
    moments.check(entry)
    if _write(client, entry, origin=Origin.USER, now=now()) == scripts.OWNED:
        raise _owned(entry.name)


def remove(client: redis.Redis, name: str) -> None:
    """Remove a user's entry; what it sent before goes on."""
    keys = [ScheduleKeys.entry(name), ScheduleKeys.NAMES, ScheduleKeys.SCHEDULE]
    with _translated():
        answer = client.eval(scripts.REMOVE, len(keys), *keys, name, Origin.USER)
    if answer == scripts.MISSING:
        raise _not_found(name)
    if answer == scripts.OWNED:
        raise _owned(name)


def set_enabled(client: redis.Redis, name: str, *, is_enabled: bool, now: Now = clock.seconds_since_epoch) -> None:
    """Switch a user's entry on or off; what would have been sent while it was off is not made up for."""
    entry = get_entry(client, name).entry.model_copy(update={"enabled": is_enabled})
    answer = _write(client, entry, origin=Origin.USER, now=now(), must_exist=True)
    if answer == scripts.MISSING:
        raise _not_found(name)
    if answer == scripts.OWNED:
        raise _owned(name)


def run_now(
    client: redis.Redis,
    name: str,
    *,
    now: Now = clock.seconds_since_epoch,
    system_queue: str = SYSTEM_QUEUE,
) -> Sending:
    """Answer what a tick at this moment would send; the schedule itself is not changed by it."""
    task = outgoing(get_entry(client, name).entry, now(), system_queue=system_queue)
    message = wire.task_message(task.task, task_id=task.task_id, kwargs=task.kwargs, origin=ORIGIN_OF_THE_SENDER)
    return Sending(queue=task.queue, message=message)


def install(client: redis.Redis, entries: Sequence[ScheduleEntry], *, now: float) -> list[str]:
    """Make the chart's entries exactly these, and answer the names that were taken over from users.

    An entry whose time is as before keeps its next tick: what was missed while no Beat ran is sent once.
    """
    taken = [
        entry.name for entry in entries if _write(client, entry, origin=Origin.VALUES, now=now) == scripts.TAKEN_OVER
    ]
    for name in _names(client) - {entry.name for entry in entries}:
        keys = [ScheduleKeys.entry(name), ScheduleKeys.NAMES, ScheduleKeys.SCHEDULE]
        client.eval(scripts.REMOVE, len(keys), *keys, name, Origin.VALUES)
    return taken


def load(client: redis.Redis, key: str) -> Stored:
    """Read an entry by its key; raise KeyError when it is gone or from another version of this program."""
    fields: Any = client.hgetall(key)
    try:
        entry = ScheduleEntry.model_validate_json(fields[Field.ENTRY])
        return Stored(entry=entry, after=float(fields[Field.AFTER]), sending=fields.get(Field.SENDING, ""))
    except ValidationError as error:
        raise KeyError(key) from error


def claim(client: redis.Redis, stored: Stored, tick: float) -> str | None:
    """Begin to send a tick, and answer the token that finishes it; None: somebody else was quicker."""
    token = f"{tick!r}:{uuid.uuid4().hex}"
    claimed = client.eval(scripts.CLAIM, 1, stored.key, repr(stored.after), stored.sending, token)
    return token if claimed else None


def finish(client: redis.Redis, stored: Stored, token: str) -> float:
    """Note that the claimed tick is over, and answer when the next is due."""
    tick = claimed_tick(token)
    due = moments.next_after(stored.entry, tick)
    client.eval(scripts.FINISH, 2, stored.key, ScheduleKeys.SCHEDULE, token, repr(tick), repr(due), stored.key)
    return due


def give_back(client: redis.Redis, stored: Stored, token: str) -> None:
    """Note that the claimed tick was surely not sent; it stays due."""
    client.eval(scripts.GIVE_BACK, 1, stored.key, token)


def claimed_tick(token: str) -> float:
    """Answer which tick a claim is for."""
    return float(token.partition(":")[0])


def _write(client: redis.Redis, entry: ScheduleEntry, *, origin: Origin, now: float, must_exist: bool = False) -> int:
    keys = [ScheduleKeys.entry(entry.name), ScheduleKeys.NAMES, ScheduleKeys.SCHEDULE]
    due = repr(moments.next_after(entry, now)) if entry.enabled else ""
    timing = f"{entry.cron}|{entry.time_zone}|{entry.every_seconds}|{entry.enabled}"
    text = entry.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
    values: list[str | int] = [
        text,
        json.dumps(_definition(entry)),
        origin,
        timing,
        repr(now),
        due,
        entry.name,
        int(must_exist),
    ]
    with _translated():
        return int(str(client.eval(scripts.WRITE, len(keys), *keys, *values)))


def _definition(entry: ScheduleEntry) -> dict[str, Any]:
    """Describe an entry in RedBeat's words."""
    task = outgoing(entry, 0.0)
    timing: dict[str, Any] = {"__type__": "millrace.cron", "expression": entry.cron, "timeZone": entry.time_zone}
    if entry.every_seconds is not None:
        timing = {"__type__": "interval", "every": entry.every_seconds, "relative": False}
    return {
        "name": entry.name,
        "task": task.task,
        "args": [],
        "kwargs": {},
        "options": {"queue": task.queue},
        "schedule": timing,
        "enabled": entry.enabled,
    }


def _state(fields: Mapping[str, str], score: float | None) -> ScheduleState:
    entry = ScheduleEntry.model_validate_json(fields[Field.ENTRY])
    last = fields.get(Field.LAST_RUN_AT)
    return ScheduleState(
        entry=entry,
        origin=Origin(fields[Field.ORIGIN]),
        last_run_at=float(last) if last else None,
        next_run_at=score if entry.enabled else None,
        total_runs=int(fields.get(Field.TOTAL_RUNS, "0")),
    )


def _names(client: redis.Redis) -> set[str]:
    names: Any = client.smembers(ScheduleKeys.NAMES)
    return set(names)


def _not_found(name: str) -> ScheduleNotFound:
    return ScheduleNotFound(f'there is no schedule "{name}"')


def _owned(name: str) -> ScheduleOwned:
    return ScheduleOwned(
        f'schedule "{name}" belongs to the values of the chart: change it in beat.schedule, or take another name'
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise ScheduleStoreUnavailable(f"Redis does not do it ({type(error).__name__}: {error}); try again") from error
    except ValidationError as error:
        raise ScheduleInvalid("an entry in Redis is from another version of Millrace") from error
