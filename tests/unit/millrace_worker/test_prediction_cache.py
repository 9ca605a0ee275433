"""The cache of predictions never costs more than one short wait, and never fails a prediction."""

# ruff: noqa: D102 - the stand-ins have the methods of what they stand for

from dataclasses import dataclass, field
from typing import Any, Self

import pytest
import redis

from millrace_contracts.predictions import CachedAnswer
from millrace_worker import prediction_cache
from millrace_worker.prediction_cache import LEFT_ALONE_SECONDS, PredictionCache

ANSWERS = {"k": CachedAnswer(model_version="1", outputs={"y": 1})}


@dataclass
class Client:
    """A cache that is away, or takes what it is told."""

    trouble: Exception | None = None
    tries: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)

    def mget(self, keys: list[str]) -> list[bytes | None]:
        self.tries += 1
        if self.trouble:
            raise self.trouble
        return [self.texts.get(key) for key in keys]

    def pipeline(self, *, transaction: bool) -> "Client":
        assert not transaction
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, key: str, text: str, *, ex: int) -> None:
        assert CachedAnswer.model_validate_json(text) == ANSWERS[key]
        self.kept[key] = ex

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        self.tries += 1
        if self.trouble:
            raise self.trouble
        return [True]


def cache(client: Any, now: list[float]) -> PredictionCache:
    return PredictionCache(client, clock=lambda: now[0])


def test_answers_are_kept_for_their_time() -> None:
    client = Client()
    cache(client, [0.0]).store(ANSWERS, ttl_seconds=60)
    assert client.kept == {"k": 60}


def test_a_cache_that_is_away_is_left_alone_for_a_while() -> None:
    client, now = Client(redis.exceptions.TimeoutError()), [0.0]
    one = cache(client, now)
    for _ in range(3):
        one.store(ANSWERS, ttl_seconds=60)
    assert (client.tries, one.not_stored) == (1, 3)
    now[0], client.trouble = LEFT_ALONE_SECONDS, None
    one.store(ANSWERS, ttl_seconds=60)
    assert (client.tries, one.not_stored) == (2, 3)


def test_without_a_cache_nothing_is_stored() -> None:
    one = PredictionCache.connect("")
    one.store(ANSWERS, ttl_seconds=60)
    assert one.not_stored == 0


def test_what_is_known_is_found_and_what_cannot_be_read_is_not() -> None:
    client = Client(texts={"k": ANSWERS["k"].model_dump_json().encode(), "odd": b"{}"})
    assert ANSWERS == cache(client, [0.0]).look_up({"k", "odd", "unknown"})


def test_many_keys_are_asked_in_bounded_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_cache, "KEYS_AT_ONCE", 2)
    client = Client()
    assert {} == cache(client, [0.0]).look_up({"a", "b", "c"})
    assert 2 == client.tries


def test_a_cache_that_is_away_knows_nothing_and_is_left_alone() -> None:
    client = Client(redis.exceptions.TimeoutError())
    one = cache(client, [0.0])
    assert [{}, {}] == [one.look_up({"k"}), one.look_up({"k"})]
    assert (1, 0) == (client.tries, one.not_stored)


def test_without_a_cache_nothing_is_known() -> None:
    assert {} == PredictionCache.connect("").look_up({"k"})
