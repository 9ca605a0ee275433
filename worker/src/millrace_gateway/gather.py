"""Records of many callers become one task.

A record that comes alone goes out at once. While a task of its group is under way, records collect: until that task is
answered, or so many records wait as a task may hold, or the longest wait is over. So an idle system adds nothing, and a
busy one fills its tasks. A group is what a task has in common: model, version, parameters, queue.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from millrace_gateway.errors import Unavailable

MAX_TASK_BYTES: Final = 6 * 2**20
"""Of the records in one task; RabbitMQ takes messages up to 16 MiB."""

G = TypeVar("G", bound=Hashable)
E = TypeVar("E")
Answered = asyncio.Future[Any]
"""Done when somebody has answered a task that was published."""

FORGET_SECONDS: Final = 1.0
"""A task that is not answered by then waits in a queue; what it says about being busy now is over."""


@dataclass(slots=True)
class _Waiting(Generic[E]):
    entry: E
    size: int
    taken: asyncio.Future[None]


@dataclass(slots=True)
class _Group(Generic[E]):
    max_records: int
    waiting: list[_Waiting[E]] = field(default_factory=list)
    bytes_waiting: int = 0
    under_way: int = 0
    """Tasks that are being published, or were and have no answer yet."""
    flush: asyncio.Handle | None = None
    limit: asyncio.TimerHandle | None = None


class Gatherer(Generic[G, E]):
    """Collects entries by group and hands them on; what it holds is bounded."""

    def __init__(
        self,
        publish: Callable[[G, Sequence[E]], Awaitable[Answered]],
        *,
        max_wait_seconds: float,
        max_held: int,
    ) -> None:
        self._publish = publish
        self._max_wait_seconds = max_wait_seconds
        self._max_held = max_held
        self._groups: dict[G, _Group[E]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.held = 0
        """Entries that were handed in and are not published yet."""

    def refuse_if_full(self, count: int) -> None:
        """Raise Unavailable if so many more entries would be too many."""
        if self.held + count > self._max_held:
            raise Unavailable(
                f"{self.held} records already wait here for RabbitMQ, and {self._max_held} are the limit of this "
                "gateway; try again later"
            )

    async def submit(self, group: G, entries: Sequence[tuple[E, int]], *, max_records: int) -> None:
        """Hand in entries with their sizes; returns when all are published, raises what publishing raised."""
        self.refuse_if_full(len(entries))
        loop = asyncio.get_running_loop()
        state = self._groups.get(group)
        if state is None:
            state = self._groups[group] = _Group(max_records)
        waiting = [_Waiting(entry, size, loop.create_future()) for entry, size in entries]
        self.held += len(waiting)
        state.waiting += waiting
        state.bytes_waiting += sum(each.size for each in waiting)
        self._consider(group, state)
        if len(waiting) == 1:
            await waiting[0].taken
            return
        outcomes = await asyncio.gather(*(each.taken for each in waiting), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def close(self) -> None:
        """Publish what waits, and wait until all is taken or refused."""
        for group, state in list(self._groups.items()):
            self._send(group, state, everything=True)
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _consider(self, group: G, state: _Group[E]) -> None:
        loop = asyncio.get_running_loop()
        self._send(group, state, everything=False)
        if not state.waiting:
            if not state.under_way:
                self._groups.pop(group, None)
            return
        if not state.under_way:
            if state.flush is None:
                # At the end of this turn of the loop: requests that were read in the same turn go together for free.
                state.flush = loop.call_soon(self._send_all, group, state)
        elif state.limit is None:
            state.limit = loop.call_later(self._max_wait_seconds, self._send_all, group, state)

    def _send_all(self, group: G, state: _Group[E]) -> None:
        self._send(group, state, everything=True)

    def _send(self, group: G, state: _Group[E], *, everything: bool) -> None:
        """Publish full tasks, and with `everything` the rest as well."""
        while state.waiting and (
            everything or len(state.waiting) >= state.max_records or state.bytes_waiting >= MAX_TASK_BYTES
        ):
            batch = self._next(state)
            state.under_way += 1
            task = asyncio.get_running_loop().create_task(self._publish_one(group, state, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if not state.waiting:
            for handle in (state.flush, state.limit):
                if handle is not None:
                    handle.cancel()
            state.flush = state.limit = None

    @staticmethod
    def _next(state: _Group[E]) -> list[_Waiting[E]]:
        batch: list[_Waiting[E]] = []
        size = 0
        for each in state.waiting:
            if batch and (len(batch) >= state.max_records or size + each.size > MAX_TASK_BYTES):
                break
            batch.append(each)
            size += each.size
        del state.waiting[: len(batch)]
        state.bytes_waiting -= size
        return batch

    async def _publish_one(self, group: G, state: _Group[E], batch: Sequence[_Waiting[E]]) -> None:
        answered: Answered | None = None
        error: BaseException | None = None
        try:
            answered = await self._publish(group, [each.entry for each in batch])
        except BaseException as raised:  # noqa: BLE001 - it goes to each caller, or the task was cancelled
            error = raised
        self.held -= len(batch)
        for each in batch:
            if each.taken.done():
                continue
            if error is None:
                each.taken.set_result(None)
            else:
                each.taken.set_exception(error)
        if answered is None:
            self._one_less(group, state)
        else:
            limit = asyncio.get_running_loop().call_later(FORGET_SECONDS, answered.cancel)
            answered.add_done_callback(lambda _: self._one_less(group, state, limit))

    def _one_less(self, group: G, state: _Group[E], limit: asyncio.TimerHandle | None = None) -> None:
        if limit is not None:
            limit.cancel()
        state.under_way -= 1
        self._consider(group, state)
