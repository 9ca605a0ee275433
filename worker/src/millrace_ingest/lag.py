"""Ask Kafka every few seconds how far the group is behind, beside the loop: such an answer may take its time."""

import threading
from collections.abc import Callable, Sequence
from typing import Final

from millrace_ingest.consume import Place
from millrace_ingest.errors import KafkaUnavailable
from millrace_ingest.metrics import Metrics
from millrace_ingest.settings import Stream
from millrace_ingest.topics import Topics
from millrace_worker.logs import get_logger

READ_EVERY_SECONDS: Final = 3.0

log = get_logger(__name__)


class LagReader:
    """A thread that knows the lag, and with it whether Kafka answers."""

    def __init__(
        self, topics: Topics, stream: Stream, *, places: Callable[[], Sequence[Place]], metrics: Metrics
    ) -> None:
        self._topics = topics
        self._stream = stream
        self._places = places
        self._metrics = metrics
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)
        self.problem: str | None = "Kafka was not asked yet"
        """Why Kafka is not usable; None when it answered last."""

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while not self._over.is_set():
            self._read()
            self._over.wait(READ_EVERY_SECONDS)

    def _read(self) -> None:
        try:
            lag = self._topics.lag(self._stream, self._places())
        except KafkaUnavailable as error:
            if self.problem is None:
                log.warning("Kafka is away; the client reconnects by itself", error=str(error))
            self.problem = str(error)
            lag = {}
        else:
            if self.problem is not None:
                log.info("Kafka answers", topic=self._stream.topic)
            self.problem = None
        self._metrics.lag_was_read(lag)
