"""Who computes when several ask for the same, however their looks and the end of the computation interleave."""

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, cast

from millrace_contracts.predictions import prediction_key
from millrace_gateway.answers import Answers
from millrace_gateway.asked import Asked, Record
from millrace_gateway.cache import Cache
from millrace_gateway.flights import Flight, FlightKey, Flights
from millrace_gateway.metrics import Metrics
from millrace_gateway.pipelining import Pipelined
from millrace_gateway.settings import ModelSettings
from millrace_gateway.store import Store

if TYPE_CHECKING:
    from redis.asyncio import Redis

ASKED: Final = Asked(
    model=ModelSettings(name="scorer", queue="scorer", cacheTtlSeconds=60),
    records=(Record({"x": [1.0]}, '{"x":[1.0]}'),),
    parameters={},
    queue="scorer",
)
KEY: Final = FlightKey("entry", "scorer", "")
THEIRS: Final = "flight-of-another-replica"
KEPT: Final = json.dumps({"model_version": "1", "outputs": {"y": [1.0]}})


class Known(Pipelined):
    """A Redis of one table."""

    def __init__(self) -> None:
        super().__init__(cast("Redis", None))
        self.entries: dict[str, str] = {}

    def ask(self, *command: Any) -> "asyncio.Future[Any]":
        """Do it at once."""
        name, *arguments = command
        future = asyncio.get_running_loop().create_future()
        future.set_result(getattr(self, name.lower())(*arguments))
        return future

    def get(self, key: str) -> bytes | None:
        """Answer an entry."""
        found = self.entries.get(key)
        return None if found is None else found.encode()

    def mget(self, *keys: str) -> list[bytes | None]:
        """Answer several."""
        return [self.get(key) for key in keys]

    def set(self, key: str, value: str, *options: Any) -> bytes | None:
        """Write, with NX only where nothing is."""
        before = self.get(key)
        if before is None or "NX" not in options:
            self.entries[key] = value
        return before


class Ending(Known):
    """The state, in which a computation of another replica ends just as we look at it."""

    def __init__(self, cache: Known, kept: str | None) -> None:
        super().__init__()
        self.cache = cache
        self.kept = kept

    def mget(self, *keys: str) -> list[bytes | None]:
        """Let the worker keep its answer and settle, in its own order, before the look."""
        if self.kept is not None:
            self.cache.entries[KEY.cache_key] = self.kept
        self.entries[prediction_key(THEIRS)] = json.dumps({"id": THEIRS, "state": "Succeeded"})
        return super().mget(*keys)


def joined(kept: str | None) -> tuple[Flight, bool]:
    """Join while another replica computes, whose worker keeps this in the cache."""
    cache = Known()
    cache.entries[KEY.lease] = f"{THEIRS} its-channel"
    store = Store(Ending(cache, kept), ttl_seconds=60)
    flights = Flights(Cache(cache, Known(), Metrics()), Answers(cast("Redis", None), store, channel="ours"), store)

    async def join() -> tuple[Flight, bool]:
        return await flights.join(ASKED, KEY)

    return asyncio.run(join())


def test_a_computation_that_ends_between_our_two_looks_is_not_done_again() -> None:
    flight, is_ours = joined(KEPT)

    assert not is_ours
    assert flight.kept is not None
    assert {"y": [1.0]} == flight.kept.outputs


def test_a_computation_that_ended_and_was_not_kept_is_done_again() -> None:
    flight, is_ours = joined(None)

    assert is_ours
    assert flight.kept is None
