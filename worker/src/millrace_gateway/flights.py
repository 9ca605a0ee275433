"""One computation for many equal records in flight, in this process by a table, across replicas by a lease.

A computation is a prediction of its own, which no caller knows; predictions of callers name it in `same_as` and have
its answer. So one caller may cancel without taking the answer from the others, and a caller that does not wait finds
the answer even when this process is gone: what must outlive it stands in Redis.

A caller joins only what RabbitMQ has confirmed. So nobody waits for a computation that was never sent. Whoever gets the
lease looks into the cache once more: the computation before may have ended since the first look.
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Final

from millrace_contracts.predictions import lease_key
from millrace_gateway.answers import Answers
from millrace_gateway.asked import Asked
from millrace_gateway.cache import Cache, Kept
from millrace_gateway.errors import Unavailable
from millrace_gateway.store import Store

LEASE_SECONDS: Final = 30
"""Longer than most computations; when it ends, an equal record is computed once more."""
PREPARING_SECONDS: Final = 3
"""So long a lease stands without a confirmed computation: its holder may have died."""
LOOK_SECONDS: Final = 0.02
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
    channel: str
    id: str = field(default_factory=lambda: f"flight-{secrets.token_hex(16)}")
    confirmed: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    kept: Kept | None = None
    """Its answer, where it turned out that the cache has it already."""


class Flights:
    """The computations that this replica knows of."""

    def __init__(self, cache: Cache, answers: Answers, store: Store) -> None:
        self._cache = cache
        self._answers = answers
        self._store = store
        self._flights: dict[FlightKey, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self, asked: Asked, key: FlightKey) -> tuple[Flight, bool]:
        """Answer the computation of this key, and whether it is the caller's to send.

        Then the caller must say that it is `confirmed` or `failed`. Otherwise it is under way, or its answer is there.
        Raises what sending raised, if the computation that we would join could not be sent.
        """
        known = self._flights.get(key)
        if known is not None:
            await asyncio.shield(known.confirmed)
            return known, False
        flight = self._flights[key] = Flight(key, self._answers.channel)
        # Whoever joins it may be gone when it fails; then nobody reads the error.
        flight.confirmed.add_done_callback(lambda future: future.cancelled() or future.exception())
        try:
            is_ours = await self._take_lease(asked, flight)
        except BaseException:
            self.failed(flight, Unavailable("the request was stopped; try again"))
            raise
        if flight.kept is not None:
            del self._flights[key]
            flight.confirmed.set_result(None)
        elif not is_ours:
            self.confirmed(asked, flight)
        return flight, is_ours

    def confirmed(self, asked: Asked, flight: Flight) -> None:
        """Let others join; it is over with its answer, or when the lease ends."""
        flight.confirmed.set_result(None)
        task = asyncio.get_running_loop().create_task(self._watch(asked, flight))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def failed(self, flight: Flight, error: BaseException) -> None:
        """Tell those who joined that it was never sent."""
        self._flights.pop(flight.key, None)
        if not flight.confirmed.done():
            flight.confirmed.set_exception(error)

    async def _take_lease(self, asked: Asked, flight: Flight) -> bool:
        """Take the lease, or make the flight that of the replica that holds it; answers whether it is ours to send."""
        key = flight.key
        while True:
            # One pipeline, in this order: what ended before the lease was free is in the cache by then.
            lease = self._cache.attempt(
                asked, lambda cache: cache.ask("SET", key.lease, _PREPARING, "NX", "GET", "EX", PREPARING_SECONDS)
            )
            holder, kept = await asyncio.gather(lease, self._cache.look_up(asked, key.cache_key))
            if kept is not None:
                flight.kept = kept
                if holder is None:
                    await self._cache.attempt(asked, lambda cache: cache.ask("DEL", key.lease))
                return False
            if holder is None:
                return True
            if holder.decode() != _PREPARING:
                flight_id, _, channel = holder.decode().partition(" ")
                if (await self._store.read_as_written([flight_id]))[flight_id] is not None:
                    # Workers keep an answer before they settle: it is there by now, or it failed or was not kept.
                    flight.kept = await self._cache.look_up(asked, key.cache_key)
                    return flight.kept is None
                flight.id, flight.channel = flight_id, channel
                return False
            await asyncio.sleep(LOOK_SECONDS)

    async def _watch(self, asked: Asked, flight: Flight) -> None:
        is_own = flight.channel == self._answers.channel
        lease = flight.key.lease
        if is_own:
            value = f"{flight.id} {flight.channel}"
            await self._cache.attempt(asked, lambda cache: cache.ask("SET", lease, value, "EX", LEASE_SECONDS))
        answer = self._answers.expect(flight.id)
        await self._answers.listen_to(flight.channel)
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                await answer
        except TimeoutError:
            is_own = False
        finally:
            self._answers.forget(answer, flight.id)
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]
            await self._answers.leave(flight.channel)
        if is_own:
            await self._cache.attempt(asked, lambda cache: cache.ask("DEL", lease))
