"""Workers of several brokers, heard as one: names of nodes end in the names of pods, so they are distinct."""

from collections.abc import Sequence

from millrace_operator.model.worker import Worker, Workers
from millrace_operator.observation.heartbeats import HeartbeatListener


class Heartbeats:
    """One listener for each broker that is configured."""

    def __init__(self, listeners: Sequence[HeartbeatListener]) -> None:
        self._listeners = tuple(listeners)

    def start(self) -> None:
        """Begin to listen."""
        for listener in self._listeners:
            listener.start()

    def workers(self, now: float) -> Workers:
        """Tell what all workers said last."""
        heard: dict[str, Worker] = {}
        for listener in self._listeners:
            heard.update(listener.workers(now))
        return heard

    def is_settled(self, now: float) -> bool:
        """Tell whether every worker that lives must have been heard by now, whatever its broker."""
        return all(listener.is_settled(now) for listener in self._listeners)

    async def close(self) -> None:
        """Listen no more."""
        for listener in self._listeners:
            await listener.close()
