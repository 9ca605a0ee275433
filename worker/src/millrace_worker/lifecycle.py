"""Files that tell Kubernetes how a worker is, for probes that cost nothing and ask nobody.

alive: touched every second by the main process, also while RabbitMQ is away (a restart would not bring it back). It
grows old only when the process hangs. ready: touched every second while the worker consumes its queue, absent
otherwise.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from celery import bootsteps
from celery.worker.consumer import consumer as consumer_module

BEAT_SECONDS: Final = 1.0


class StateFiles:
    """The two files; the folder is made on first use."""

    def __init__(self, folder: Path) -> None:
        self._alive = folder / "alive"
        self._ready = folder / "ready"
        self._is_consuming = False
        folder.mkdir(parents=True, exist_ok=True)
        self._ready.unlink(missing_ok=True)

    def beat(self) -> None:
        """Say that the main process runs, and that it consumes if it does."""
        self._alive.touch()
        if self._is_consuming:
            self._ready.touch()

    def consuming(self, *, is_consuming: bool) -> None:
        """Note that the queue is consumed, or no more."""
        self._is_consuming = is_consuming
        if is_consuming:
            self._ready.touch()
        else:
            self._ready.unlink(missing_ok=True)


def install(app: Any, folder: Path) -> None:
    """Keep the files of `folder` for the worker that this app may become."""
    files: list[StateFiles] = []

    class Heartbeat(bootsteps.StartStopStep):  # type: ignore[misc] # celery has no types
        """Touches the files once a second."""

        requires = ("celery.worker.components:Timer",)

        def __init__(self, worker: Any, **options: Any) -> None:
            super().__init__(worker, **options)
            files.append(StateFiles(folder))
            beat_while_reconnecting(files[0].beat)

        def start(self, worker: Any) -> None:
            files[0].beat()
            worker.timer.call_repeatedly(BEAT_SECONDS, files[0].beat, priority=10)

    class Readiness(bootsteps.StartStopStep):  # type: ignore[misc] # celery has no types
        """Follows the consumer of tasks: started with each connection, stopped when it is lost or the worker drains."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def start(self, consumer: Any) -> None:
            del consumer
            files[0].consuming(is_consuming=True)

        def stop(self, consumer: Any) -> None:
            del consumer
            files[0].consuming(is_consuming=False)

    app.steps["worker"].add(Heartbeat)
    app.steps["consumer"].add(Readiness)


def beat_while_reconnecting(beat: Callable[[], None]) -> None:
    """Beat also while Celery waits for RabbitMQ: timers stand still then, but it calls `maybe_shutdown` once a second.

    This replaces an internal name of Celery; a unit test fails when that name moves.
    """
    original = consumer_module.maybe_shutdown

    def beat_and_maybe_shutdown() -> None:
        beat()
        original()

    consumer_module.maybe_shutdown = beat_and_maybe_shutdown
