"""Know the tasks with an ETA or a countdown before they are due, by a copy of each as it is published.

On quorum queues Celery sends such a task through the exchange celery_delayed_27 with a routing key of 28 binary digits,
the seconds of its delay, and the key of its queue. How many wait there is visible, but neither when nor for whom; so a
queue of our own is bound to that exchange, and only the keys of what arrives there are looked at. What was published
while nobody listened is not known, a task that is revoked later still counts, and a task whose routing key is not its
queue's name is missed. Retries with a delay come this way too.
"""

import threading
from collections import Counter
from collections.abc import Collection
from typing import Any, Final

import structlog
from amqp.exceptions import NotFound
from kombu import Exchange, Queue

from millrace_operator.clock import Clock
from millrace_operator.model.outlook import Due
from millrace_operator.observation.subscription import NOT_THERE_PAUSE_SECONDS, NotThereYet, Subscription, own_name

EXCHANGE: Final = "celery_delayed_27"
QUEUE_PREFIX: Final = "millrace.operator.delayed"
DIGITS: Final = 28
SOURCE: Final = "ETA tasks"
MOST_MOMENTS: Final = 100_000
"""Seconds with tasks due that are remembered; the latest are forgotten first."""
CLEAN_EVERY_SECONDS: Final = 60
MOST_HELD_BY_BROKER: Final = 10_000
HELD_SECONDS: Final = 60.0

log = structlog.get_logger("millrace.observation")


class Agenda:
    """How many tasks of which queue come due in which second. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_second: dict[int, Counter[str]] = {}
        self._next_cleaning = 0

    def add(self, queue: str, *, at: float) -> None:
        """Remember one task."""
        with self._lock:
            self._by_second.setdefault(int(at), Counter())[queue] += 1
            if len(self._by_second) > MOST_MOMENTS:
                # Some more than one, so that the sorting pays.
                for second in sorted(self._by_second)[MOST_MOMENTS * 9 // 10 :]:
                    del self._by_second[second]

    def due(self, queues: Collection[str], *, now: float, horizon_seconds: float) -> dict[str, list[Due]]:
        """List what comes due from now on, in order of time; forget what was due before."""
        wanted = frozenset(queues)
        found: dict[str, list[Due]] = {}
        with self._lock:
            self._forget(before=int(now))
            for second in range(int(now), int(now + horizon_seconds) + 1):
                for queue, tasks in self._by_second.get(second, {}).items():
                    if queue in wanted:
                        found.setdefault(queue, []).append(Due(at=float(second), tasks=tasks, source=SOURCE))
        return found

    def _forget(self, *, before: int) -> None:
        if before >= self._next_cleaning:
            self._next_cleaning = before + CLEAN_EVERY_SECONDS
            for second in [second for second in self._by_second if second < before]:
                del self._by_second[second]


class DelayedTasks:
    """Listens to the exchange of delayed tasks of a RabbitMQ."""

    def __init__(self, *, broker_url: str, clock: Clock, not_there_seconds: float = NOT_THERE_PAUSE_SECONDS) -> None:
        self._clock = clock
        self._agenda = Agenda()
        self._subscription = Subscription(
            what="tasks with an ETA",
            broker_url=broker_url,
            declare=_declare,
            on_message=self._take,
            clock=clock,
            not_there_seconds=not_there_seconds,
        )

    def start(self) -> None:
        """Begin to listen."""
        self._subscription.start()

    def due(self, queues: Collection[str], *, now: float, horizon_seconds: float) -> dict[str, list[Due]]:
        """List what comes due from now on, in order of time."""
        return self._agenda.due(queues, now=now, horizon_seconds=horizon_seconds)

    @property
    def is_listening(self) -> bool:
        """Tell whether tasks that are published now will be known."""
        return self._subscription.up_since is not None

    async def close(self) -> None:
        """Stop listening."""
        await self._subscription.close()

    def _take(self, message: Any) -> None:
        seconds, queue = read_key(message.delivery_info["routing_key"])
        self._agenda.add(queue, at=self._clock.now().timestamp() + seconds)


def read_key(routing_key: str) -> tuple[int, str]:
    """Take the delay in seconds and the queue's key out of a routing key; raise ValueError when it is none of these."""
    *digits, queue = routing_key.split(".", DIGITS)
    if len(digits) != DIGITS:
        raise ValueError(f"routing key {routing_key!r} holds no delay")
    return int("".join(digits), base=2), queue


def _declare(connection: Any) -> Any:
    queue = Queue(
        own_name(QUEUE_PREFIX),
        exchange=Exchange(EXCHANGE, type="topic", durable=True, passive=True),
        routing_key="#",
        exclusive=True,
        auto_delete=True,
        durable=False,
        message_ttl=HELD_SECONDS,
        max_length=MOST_HELD_BY_BROKER,
        queue_arguments={"x-overflow": "drop-head"},
    )(connection.default_channel)
    queue.queue_declare()
    try:
        queue.queue_bind()
    except NotFound as error:
        # The first worker on a quorum queue makes the exchange; until then no task can be delayed there.
        raise NotThereYet(EXCHANGE) from error
    return queue
