"""An answer counts only under the version that serves now, however the look-ups interleave."""

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from millrace_contracts.models import serving_key
from millrace_contracts.predictions import cache_key
from millrace_gateway.asked import Asked, Record
from millrace_gateway.cache import Cache, Found
from millrace_gateway.metrics import Metrics
from millrace_gateway.pipelining import Pipelined
from millrace_gateway.settings import ModelSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

RECORD = Record({"x": [1.0]}, '{"x":[1.0]}')
ASKED = Asked(
    model=ModelSettings(name="scorer", queue="scorer", cacheTtlSeconds=60),
    records=(RECORD,),
    parameters={},
    queue="scorer",
)
Entries = Mapping[str, str]


class Known(Pipelined):
    """Answers GET from a table."""

    def __init__(self, entries: Entries) -> None:
        super().__init__(cast("Redis", None))
        self.entries = dict(entries)
        self.asked: list[str] = []

    def ask(self, *command: Any) -> "asyncio.Future[Any]":
        """Answer what is there."""
        name, key = command
        assert "GET" == name
        self.asked.append(key)
        future = asyncio.get_running_loop().create_future()
        text = self.entries.get(key)
        future.set_result(None if text is None else text.encode())
        return future


def entry(version: str) -> tuple[str, str]:
    """Answer the key of RECORD under a version, and what is kept there."""
    kept = json.dumps({"model_version": version, "outputs": {"score": [float(version)]}})
    return cache_key("scorer", version, RECORD.value, {}), kept


def looked_up(cache: Cache) -> Found:
    async def look() -> Found:
        return await cache.find(ASKED, RECORD, cache.version(ASKED))

    return asyncio.run(look())


def with_serving(version: str, *kept: str) -> tuple[Cache, Known, Known]:
    """Answer a cache that holds RECORD under the versions of `kept`, with its two servers."""
    answers, state = Known(dict(map(entry, kept))), Known({serving_key("scorer"): version} if version else {})
    return Cache(answers, state, Metrics()), answers, state


def test_an_entry_of_the_version_that_serves_is_found() -> None:
    cache, _, _ = with_serving("1", "1")
    found = looked_up(cache)
    assert found.kept is not None
    assert "1" == found.kept.model_version


def test_an_entry_of_the_version_that_served_last_is_not_given_any_more() -> None:
    cache, _, state = with_serving("1", "1")
    looked_up(cache)
    state.entries[serving_key("scorer")] = "2"
    found = looked_up(cache)
    assert found.kept is None
    assert entry("2")[0] == found.key


def test_an_entry_of_the_new_version_is_found_at_the_first_look_after_the_change() -> None:
    cache, _, state = with_serving("1", "1", "2")
    looked_up(cache)
    state.entries[serving_key("scorer")] = "2"
    found = looked_up(cache)
    assert found.kept is not None
    assert "2" == found.kept.model_version


def test_while_nobody_knows_which_version_serves_there_is_no_entry() -> None:
    cache, _, state = with_serving("1", "1")
    looked_up(cache)
    del state.entries[serving_key("scorer")]
    assert Found("") == looked_up(cache)


def test_the_entry_of_a_known_version_is_asked_for_once() -> None:
    cache, answers, _ = with_serving("1", "1")
    looked_up(cache)
    looked_up(cache)
    assert [entry("1")[0]] * 2 == answers.asked
