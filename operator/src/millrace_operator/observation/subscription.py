"""Listen to messages of the broker for as long as the operator runs, in a thread of its own.

The thread outlives everything: a broker that is away is tried again, ever less often, and its absence is said once.
"""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog
from kombu import Connection, Consumer
from kombu.exceptions import KombuError

from millrace_operator.clock import Clock

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 15.0
NOT_THERE_PAUSE_SECONDS: Final = 30.0
"""RabbitMQ logs each try as an error."""
HEARTBEAT_SECONDS: Final = 10
CONNECT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 1.0

log = structlog.get_logger("millrace.observation")


class NotThereYet(Exception):  # noqa: N818 - it is no error
    """What is to be listened to does not exist so far; try again later."""


class Subscription:
    """One queue of the operator's own, whose messages are handed to `on_message` as they come.

    `declare` makes the queue on a connection and returns it; it may raise NotThereYet. `on_message` gets the message
    with its body undecoded.
    """

    def __init__(
        self,
        *,
        what: str,
        broker_url: str,
        declare: Callable[[Any], Any],
        on_message: Callable[[Any], None],
        clock: Clock,
        not_there_seconds: float = NOT_THERE_PAUSE_SECONDS,
    ) -> None:
        self._what = what
        self._broker_url = broker_url
        self._declare = declare
        self._on_message = on_message
        self._clock = clock
        self._not_there_seconds = not_there_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._is_trouble_told = False
        self.up_since: float | None = None
        """Since when it listens, in seconds since the epoch; None: it does not."""

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    async def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join, CONNECT_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except NotThereYet:
                self._pause_seconds = self._not_there_seconds
            except Exception as error:  # noqa: BLE001 - each broker's library raises its own; the thread must go on
                self._tell(error)
            finally:
                self.up_since = None
            self._stop.wait(self._pause_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)

    def _listen(self) -> None:
        connection = Connection(
            self._broker_url, heartbeat=HEARTBEAT_SECONDS, connect_timeout=CONNECT_SECONDS, transport_options=_OPTIONS
        )
        try:
            connection.connect()
            queue = self._declare(connection)
            consumer = Consumer(
                connection.default_channel, [queue], no_ack=True, auto_declare=False, on_message=self._take
            )
            consumer.consume()
            self._say_that_it_listens()
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=POLL_SECONDS)
                connection.heartbeat_check()
        finally:
            _hang_up(connection)

    def _take(self, message: Any) -> None:
        try:
            self._on_message(message)
        except (KombuError, ValueError, TypeError, KeyError) as error:
            # Anybody may publish anything; what is not understood is not for us.
            log.debug("a message was not understood", what=self._what, error=f"{type(error).__name__}: {error}")

    def _say_that_it_listens(self) -> None:
        self.up_since = self._clock.now().timestamp()
        self._pause_seconds = FIRST_PAUSE_SECONDS
        if self._is_trouble_told:
            log.info("listening again", what=self._what)
        self._is_trouble_told = False

    def _tell(self, error: Exception) -> None:
        if not self._is_trouble_told:
            why = f"{type(error).__name__}: {error}"
            log.warning("nothing is heard until the broker is back; tried again and again", what=self._what, error=why)
        self._is_trouble_told = True


_OPTIONS: Final = {"socket_keepalive": True}


def own_name(prefix: str) -> str:
    """Name a queue of this process alone: exclusive queues of two operators must not meet."""
    return f"{prefix}.{uuid.uuid4()}"


def _hang_up(connection: Any) -> None:
    # In order where that is possible, so that the broker need not complain; it may be broken, too.
    with contextlib.suppress(*connection.connection_errors, *connection.channel_errors, OSError, KombuError):
        connection.close()
