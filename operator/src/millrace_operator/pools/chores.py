"""Work on single pools that may outlast a pass: one chore a pool at a time, so that a slow one delays no other pool."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger("millrace.pools")


class Chores:
    """The chores of one kind."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._new: set[asyncio.Task[None]] = set()

    @property
    def room(self) -> int:
        """How many more may begin now."""
        return self._most - len(self._tasks)

    def is_busy(self, uid: str) -> bool:
        """Tell whether a pool's chore is still going on."""
        return uid in self._tasks

    def begin(self, uid: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin a pool's chore; the one before must have ended."""
        task = asyncio.create_task(work)
        self._tasks[uid] = task
        self._new.add(task)
        task.add_done_callback(lambda done: self._end(uid, done))

    def take_new(self) -> set[asyncio.Task[None]]:
        """Answer those that began since this was asked last and go on."""
        new, self._new = self._new, set()
        return new

    def _end(self, uid: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(uid, None)
        self._new.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a pool was not handled because of a defect; please report it", uid=uid, exc_info=error)


async def wait_for(chores: Chores, seconds: float) -> None:
    """Wait for all that began since the last wait, but no longer than this; a slow one is waited for once."""
    if new := chores.take_new():
        await asyncio.wait(new, timeout=seconds)
