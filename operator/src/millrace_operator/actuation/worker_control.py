"""Tell Celery workers to take no more tasks from a queue, or to take them again, and ask them what they hold.

Celery's own remote control does it (kombu's mailbox), so that any Celery app understands, on RabbitMQ and on Redis. The
library blocks, so it runs in one thread of its own, on one connection. All commands may be repeated: done twice is the
same as done once.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Literal, TypeVar

from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import KombuError
from kombu.pidbox import Mailbox
from redis.exceptions import RedisError

from millrace_operator.errors import ControlError

Said = TypeVar("Said")
Command = Literal["cancel_consumer", "add_consumer"]
_HELD: Final = ("active", "reserved", "scheduled")
"""Celery's questions for the tasks that run, that wait in the worker, and that wait there for their ETA."""
NAMESPACE: Final = "celery"
"""Celery's default for control_exchange."""
_TRANSPORT_ERRORS: Final = (AMQPError, KombuError, RedisError, OSError)


class WorkerControl:
    """Remote control of the workers behind one broker."""

    def __init__(self, *, broker_url: str, timeout_seconds: float = 2.0) -> None:
        self._broker_url = broker_url
        self._timeout_seconds = timeout_seconds
        self._mailbox: Any = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-control")

    async def cancel_consumer(self, queue: str, nodes: Collection[str]) -> frozenset[str]:
        """Tell these workers to take no more tasks from the queue; answers which of them will."""
        return await self._tell("cancel_consumer", queue, nodes)

    async def add_consumer(self, queue: str, nodes: Collection[str]) -> frozenset[str]:
        """Tell these workers to take tasks from the queue again; answers which of them will."""
        return await self._tell("add_consumer", queue, nodes)

    async def tasks_held(self, nodes: Collection[str]) -> Mapping[str, int]:
        """Ask these workers for the tasks that they hold; answers how many, of those that said it.

        A worker answers in the order in which it is asked, so one that was told to take no more tasks before this holds
        all that it will ever hold. Heartbeats do not count what it has received and not begun.
        """
        return await self._in_thread(self._ask, nodes, nobody={}, what="could not be asked what they hold")

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def _tell(self, command: Command, queue: str, nodes: Collection[str]) -> frozenset[str]:
        what = f"of queue {queue!r} could not be told to start or stop taking tasks"
        return await self._in_thread(partial(self._call, command, queue), nodes, nobody=frozenset(), what=what)

    async def _in_thread(
        self, call: Callable[[list[str]], Said], nodes: Collection[str], *, nobody: Said, what: str
    ) -> Said:
        if not nodes:
            return nobody
        work = asyncio.get_running_loop().run_in_executor(self._thread, call, sorted(nodes))
        try:
            # To connect may take as long as to wait for the answers; kombu itself would try for ever to publish.
            return await asyncio.wait_for(work, timeout=3 * self._timeout_seconds)
        except (*_TRANSPORT_ERRORS, TimeoutError) as error:
            # The text of a connection error may hold the URL with its password.
            raise ControlError(
                f"workers {what} ({type(error).__name__}): check that the broker is up and that the operator's user "
                "may use Celery's exchanges celery.pidbox and reply.celery.pidbox"
            ) from error

    def _call(self, command: Command, queue: str, nodes: list[str]) -> frozenset[str]:
        answers = self._answers(command, {"queue": queue}, nodes)
        return frozenset(node for node, said in answers.items() if "ok" in said)

    def _ask(self, nodes: list[str]) -> dict[str, int]:
        held = dict.fromkeys(nodes, 0)
        for question in _HELD:
            answers = self._answers(question, {}, list(held)) if held else {}
            # A worker that refuses the question answers with an error in place of a list.
            said = {node: tasks for node, tasks in answers.items() if isinstance(tasks, list)}
            held = {node: number + len(said[node]) for node, number in held.items() if node in said}
        return held

    def _answers(self, command: str, arguments: dict[str, str], nodes: list[str]) -> dict[str, Any]:
        try:
            # It waits for as many answers as there are nodes, and no longer.
            answers = self._connected().call(nodes, command, arguments, timeout=self._timeout_seconds)
        except _TRANSPORT_ERRORS:
            self._disconnect()
            raise
        return {node: said for answer in answers for node, said in answer.items() if node in nodes}

    def _connected(self) -> Any:
        if self._mailbox is None:
            timeout = self._timeout_seconds
            options: dict[str, Any] = {"max_retries": 1, "connect_retries_timeout": timeout}
            if self._broker_url.startswith("amqp"):
                options |= {"read_timeout": 2 * timeout, "write_timeout": timeout}
            connection = Connection(self._broker_url, connect_timeout=timeout, transport_options=options)
            self._mailbox = Mailbox(NAMESPACE, type="fanout", accept=["json"])(connection)
        return self._mailbox

    def _disconnect(self) -> None:
        if self._mailbox is not None:
            # Without a word to the broker: it may be the one that does not answer.
            self._mailbox.connection.collect()
            self._mailbox = None
