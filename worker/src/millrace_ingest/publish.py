"""Bring batches to RabbitMQ for as long as it takes: each is sent, confirmed, or sent again.

Whatever is on its way when the connection breaks is sent again on the next one. The queue may then have it twice; its
task does it once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from millrace_contracts.wire import Message
from millrace_ingest.errors import BrokerUnavailable
from millrace_ingest.rabbitmq import Link
from millrace_worker.logs import get_logger

MAX_WAITING: Final = 100
MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
"""What may be on its way at once: enough to keep RabbitMQ's disk busy, little enough to hold and to send again."""

CONFIRM_SECONDS: Final = 30.0
"""A broker that confirms nothing for so long is taken for lost."""

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 5.0

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message, where it comes from, and whom to tell when the queue has it."""

    place: tuple[str, int]
    """Topic and partition."""
    message: Message
    record_count: int
    on_confirmed: Callable[[], None]


class Publisher:
    """Owns the connection to RabbitMQ and everything that waits for it."""

    def __init__(
        self, url: str, queue: str, *, clock: Callable[[], float], on_published: Callable[[int], None]
    ) -> None:
        self._url = url
        self._queue = queue
        self._clock = clock
        self._on_published = on_published
        self._backlog: deque[Outgoing] = deque()
        self._unconfirmed: dict[int, Outgoing] = {}
        self._refused: list[Outgoing] = []
        self._waiting_bytes = 0
        self.confirmed_messages = 0
        """Since the start."""
        self._link: Link | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._not_before = 0.0
        self._heard_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Say whether RabbitMQ answered last."""
        return self._link is not None

    @property
    def is_waiting(self) -> bool:
        """Say whether there is a message that RabbitMQ has not confirmed."""
        return bool(self._backlog or self._unconfirmed)

    @property
    def is_full(self) -> bool:
        """Say whether as much is on its way as may be."""
        return len(self._backlog) + len(self._unconfirmed) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES

    def offer(self, message: Outgoing) -> None:
        """Take over a message."""
        self._backlog.append(message)
        self._waiting_bytes += len(message.message.body)

    def forget(self, places: Iterable[tuple[str, int]]) -> None:
        """Send nothing more of these partitions: others read them now."""
        gone = set(places)
        self._backlog = deque(message for message in self._backlog if message.place not in gone)
        left = [*self._backlog, *self._unconfirmed.values()]
        self._waiting_bytes = sum(len(message.message.body) for message in left)

    def work(self, *, wait_seconds: float) -> None:
        """Send what may be sent and hear what is confirmed, waiting for that no longer than this; never raises."""
        may_try = self._clock() >= self._not_before
        if self._link is None and not may_try:
            return
        try:
            link = self._link or self._connected()
            if may_try:
                self._send(link)
            link.listen(wait_seconds if self._unconfirmed else 0.0)
            self._after_refusals(link)
            self._check_that_it_confirms()
        except BrokerUnavailable as error:
            self._lost(error)

    def ready_messages(self) -> int | None:
        """Answer how many messages wait in the queue; None while nobody knows."""
        if self._link is None:
            return None
        try:
            return self._link.ready_messages()
        except BrokerUnavailable as error:
            self._lost(error)
            return None

    def close(self) -> None:
        """End the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _connected(self) -> Link:
        self._link = Link(self._url, self._queue, on_settled=self._settled)
        log.info("connected to RabbitMQ", queue=self._queue)
        self._heard_at = self._clock()
        return self._link

    def _send(self, link: Link) -> None:
        if self._backlog and not self._unconfirmed:
            self._heard_at = self._clock()
        while self._backlog:
            message = self._backlog[0]
            # A confirm can come while the next message is sent, never for one whose number is not known yet.
            self._unconfirmed[link.publish(message.message)] = message
            self._backlog.popleft()

    def _settled(self, number: int, is_queued: bool) -> None:  # noqa: FBT001 - what Link tells
        message = self._unconfirmed.pop(number)
        self._heard_at = self._clock()
        if not is_queued:
            self._refused.append(message)
            return
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._waiting_bytes -= len(message.message.body)
        self.confirmed_messages += 1
        message.on_confirmed()
        self._on_published(message.record_count)

    def _check_that_it_confirms(self) -> None:
        if self._unconfirmed and self._clock() - self._heard_at > CONFIRM_SECONDS:
            raise BrokerUnavailable(f"RabbitMQ confirmed nothing for {CONFIRM_SECONDS:g} s")

    def _after_refusals(self, link: Link) -> None:
        """Send again, after a pause, what RabbitMQ had no queue for or did not want; a missing queue is made anew."""
        if not self._refused:
            return
        log.error(
            "the queue did not take messages: it is full, or was deleted and is declared again",
            queue=self._queue,
            messages=len(self._refused),
            tries_again_in_seconds=self._pause_seconds,
        )
        self._take_back(self._refused)
        self._refused.clear()
        self._pause()
        link.declare()

    def _lost(self, error: BrokerUnavailable) -> None:
        if self._link is not None:
            self._link.drop()
            self._link = None
        self._take_back([*self._refused, *self._unconfirmed.values()])
        self._refused.clear()
        self._unconfirmed.clear()
        log.warning(
            "RabbitMQ is away; records wait in Kafka",
            queue=self._queue,
            error=str(error),
            unconfirmed_messages=len(self._backlog),
            tries_again_in_seconds=self._pause_seconds,
        )
        self._pause()

    def _take_back(self, messages: Sequence[Outgoing]) -> None:
        self._backlog.extendleft(reversed(messages))

    def _pause(self) -> None:
        self._not_before = self._clock() + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
