"""One computation for many equal records in flight, in this process by a table, across replicas by a lease.

A computation is a prediction of its own, which no caller knows; predictions of callers name it in `same_as` and have
its answer. So one caller may cancel without taking the answer from the others, and a caller that does not wait finds
the answer even when this process is gone: what must outlive it stands in Redis.

A caller joins only what RabbitMQ has confirmed. So nobody waits for a computation that was never sent.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Final

from millrace_contracts.predictions import lease_key
from millrace_gateway.answers import Answers
from millrace_gateway.asked import Asked
from millrace_gateway.cache import Cache
from millrace_gateway.errors import GatewayError
from millrace_gateway.store import Store

LEASE_SECONDS: Final = 30
"""Longer than most computations; when it ends, an equal record is computed once more."""
TAKE_OFF_TRIES: Final = 10
TAKE_OFF_SECONDS: Final = 0.02
_PREPARING: Final = "preparing"


@dataclass(frozen=True, slots=True)
class FlightKey:
    """What must be equal to share an answer: the entry of the cache, who computes it, and the version asked for."""

    cache_key: str
    queue: str
    version: str

    @property
    def lease(self) -> str:
        """The Redis key of the lease."""
        return lease_key(f"{self.cache_key}:{self.queue}:{self.version}")


@dataclass(slots=True)
class Flight:
    """One computation under way."""

    key: FlightKey
    id: str
    channel: str
    confirmed: "asyncio.Future[None]"
    is_ours: bool
    """Whether this caller must send it, and then say that it did, or could not."""


class Flights:
    """The computations that this replica knows of."""

    def __init__(self, cache: Cache, answers: Answers, store: Store) -> None:
        self._cache = cache
        self._answers = answers
        self._store = store
        self._flights: dict[FlightKey, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, asked: Asked, key: FlightKey) -> Flight:
        """Answer the computation of this key: one that is confirmed, or a new one that is ours to send.

        Raises what sending raised, if the computation that we would join could not be sent.
        """
        known = self._flights.get(key)
        if known is not None:
            await asyncio.shield(known.confirmed)
            return Flight(key, known.id, known.channel, known.confirmed, is_ours=False)
        flight = Flight(
            key,
            f"flight-{secrets.token_hex(16)}",
            self._answers.channel,
            asyncio.get_running_loop().create_future(),
            is_ours=True,
        )
        # Whoever joins it may be gone when it fails; then nobody reads the error.
        flight.confirmed.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._flights[key] = flight
        try:
            other = await self._of_another_replica(asked, key)
        except BaseException:
            self.failed(flight, GatewayError("the request was stopped"))
            raise
        if other is None:
            return flight
        flight.id, flight.channel = other
        self.confirmed(asked, flight)
        return Flight(key, flight.id, flight.channel, flight.confirmed, is_ours=False)

    def confirmed(self, asked: Asked, flight: Flight) -> None:
        """Let others join; it is over with its answer, or when the lease ends."""
        if not flight.confirmed.done():
            flight.confirmed.set_result(None)
        task = asyncio.get_running_loop().create_task(self._watch(asked, flight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def failed(self, flight: Flight, error: BaseException) -> None:
        """Tell those who joined that it was never sent."""
        self._flights.pop(flight.key, None)
        if not flight.confirmed.done():
            flight.confirmed.set_exception(error)

    async def _of_another_replica(self, asked: Asked, key: FlightKey) -> tuple[str, str] | None:
        """Take the lease and answer None, or answer id and channel of the computation that holds it."""
        for _ in range(TAKE_OFF_TRIES):
            got = await self._cache.attempt(
                asked,
                lambda cache: cache.ask("SET", key.lease, _PREPARING, "NX", "GET", "EX", LEASE_SECONDS),
            )
            if got is None:
                return None
            if got.decode() != _PREPARING:
                flight_id, _, channel = got.decode().partition(" ")
                answer = (await self._store.read_as_written([flight_id]))[flight_id]
                # It ended, and what it gave is not in the cache: it failed, or the cache did not keep it.
                return (flight_id, channel) if answer is None else None
            await asyncio.sleep(TAKE_OFF_SECONDS)
        return None

    async def _watch(self, asked: Asked, flight: Flight) -> None:
        is_own = flight.channel == self._answers.channel
        if is_own:
            value = f"{flight.id} {flight.channel}"
            await self._cache.attempt(
                asked, lambda cache: cache.ask("SET", flight.key.lease, value, "EX", LEASE_SECONDS)
            )
        answer = self._answers.expect(flight.id)
        await self._answers.listen_to(flight.channel)
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                await answer
        except TimeoutError:
            is_own = False
        finally:
            self._answers.forget(answer, flight.id)
            if self._flights.get(flight.key) is not None and self._flights[flight.key].id == flight.id:
                del self._flights[flight.key]
            await self._answers.leave(flight.channel)
        if is_own:
            await self._cache.attempt(asked, lambda cache: cache.ask("DEL", flight.key.lease))
