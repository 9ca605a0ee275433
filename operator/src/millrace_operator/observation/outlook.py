"""What is known of the future of all queues, from Beat's entries and from tasks with an ETA.

To know nothing is safe: a pool then starts its pods when the tasks are there. So whatever cannot be read leaves the
outlook empty, is counted, and is said once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog

from millrace_operator.errors import ObservationError
from millrace_operator.model.outlook import Outlook
from millrace_operator.observation.beat_entries import BeatEntries, BeatSchedule
from millrace_operator.observation.delayed_tasks import DelayedTasks

READ_EVERY_SECONDS: Final = 10.0
FAILURE: Final = "schedule"
"""The label under which failures are counted."""

log = structlog.get_logger("millrace.observation")


class OutlookObserver:
    """Reads Beat's entries in the background, listens to delayed tasks, and answers from what is known.

    Without `delayed` tasks with an ETA are not known: only RabbitMQ shows them.
    """

    def __init__(self, *, beat: BeatEntries, delayed: DelayedTasks | None, on_failure: Callable[[str], None]) -> None:
        self._beat = beat
        self._delayed = delayed
        self._on_failure = on_failure
        self._schedule = BeatSchedule()
        self._is_trouble_told = False
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read and to listen; needs a running event loop."""
        if self._delayed is not None:
            self._delayed.start()
        self._reading = asyncio.get_running_loop().create_task(self._read_again_and_again())

    def outlook(self, queues: Collection[str], now: float, horizon_seconds: float) -> Mapping[str, Outlook]:
        """Tell what will arrive at `queues` from now to the horizon; a queue of which nothing is known is missing."""
        sent = self._schedule.due(queues, now=now, horizon_seconds=horizon_seconds)
        due = self._delayed.due(queues, now=now, horizon_seconds=horizon_seconds) if self._delayed else {}
        both = {queue: sent.get(queue, []) + due.get(queue, []) for queue in sent.keys() | due.keys()}
        return {queue: tuple(sorted(found, key=lambda each: each.at)) for queue, found in both.items() if found}

    @property
    def is_beat_ticking(self) -> bool | None:
        """Whether the chart's Beat lives; None: not known."""
        return self._schedule.is_ticking

    async def close(self) -> None:
        """Stop reading and listening."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self._delayed is not None:
            await self._delayed.close()

    async def refresh(self) -> None:
        """Read Beat's entries once."""
        try:
            self._schedule = await self._beat.read()
        except ObservationError as error:
            self._schedule = BeatSchedule()
            self._on_failure(FAILURE)
            if not self._is_trouble_told:
                log.warning("no pool is pre-warmed for scheduled tasks until Redis answers", error=str(error))
            self._is_trouble_told = True
        else:
            self._is_trouble_told = False

    async def _read_again_and_again(self) -> None:
        while True:
            try:
                await self.refresh()
            except Exception:
                # A defect in reading one schedule must not end the reading of all that come.
                self._on_failure(FAILURE)
                log.exception("Beat's entries were not read because of a defect; please report it")
            await asyncio.sleep(READ_EVERY_SECONDS)
