"""When a job takes outputs from the prediction cache, and what it keeps there."""

# ruff: noqa: D102 - the stand-ins have the methods of what they stand for

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
import redis

from millrace_contracts.inputs import Reading, TensorMapping
from millrace_contracts.outputs import RedisOutput, ResultFormat, Writing
from millrace_contracts.predictions import CachedAnswer, cache_key
from millrace_contracts.tasks import CacheUse, JobRef, JobSpec, ModelRef
from millrace_worker.inference.blocks import Block
from millrace_worker.inference.model import Answer, ModelSignature, TensorSpec
from millrace_worker.inference.predict import Answered, Outcomes
from millrace_worker.input.record import Record
from millrace_worker.tasks.shard_cache import ShardCache

Mode = Literal["Disabled", "Read", "ReadWrite"]
GIVEN = [Record("a", 1, {"x": [1]}), Record("b", 2, {"x": [2]})]
DONE: Outcomes[Block, Answer] = Outcomes(
    answers=[Answered(Block([0, 1], {}), Answer({"y": np.array([[1.0], [2.0]])}, "4"), 1)]
)


@dataclass
class Cache:
    """Keeps what it is told."""

    kept: dict[str, CachedAnswer] = field(default_factory=dict)

    def look_up(self, keys: Collection[str]) -> dict[str, CachedAnswer]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    def store(self, answers: Mapping[str, CachedAnswer], *, ttl_seconds: int) -> None:
        assert ttl_seconds == 60
        self.kept |= answers


@dataclass
class Registry:
    """Says which version serves, if it is there."""

    serving: str | None = None
    is_away: bool = False

    def get(self, key: str) -> str | None:
        assert key == "millrace:model:{m}:serving"
        if self.is_away:
            raise redis.exceptions.ConnectionError
        return self.serving


@dataclass
class World:
    """What the cache of a shard stands on."""

    prediction_cache: Cache = field(default_factory=Cache)
    redis: Registry = field(default_factory=Registry)

    def cache(self, mode: Mode = "ReadWrite", *, versions: tuple[str, ...] = ("4",), **spec: Any) -> ShardCache:
        described: Any = {
            "job": JobRef(namespace="n", name="j", uid="u"),
            "model": ModelRef(name="m"),
            "output": RedisOutput(),
            "queue": "q",
            "cache": CacheUse(mode=mode, ttl_seconds=60),
        }
        inputs = (TensorSpec(name="x", datatype="FP32", dims=(1,)),)
        signature = ModelSignature(name="m", requested_version="", inputs=inputs, max_batch_size=8, versions=versions)
        context: Any = self
        return ShardCache(JobSpec(**described | spec), signature, context)


def test_what_one_shard_keeps_the_next_one_knows() -> None:
    world = World()
    world.cache().store(GIVEN, DONE)
    assert {0: {"y": [1.0]}, 1: {"y": [2.0]}} == world.cache("Read").known(GIVEN)


def test_entries_are_those_of_single_predictions() -> None:
    world = World()
    world.cache().store(GIVEN, DONE)
    assert {cache_key("m", "4", record.value, {}) for record in GIVEN} == set(world.prediction_cache.kept)


def test_records_are_equal_if_the_model_sees_the_same() -> None:
    world = World()
    world.cache().store(GIVEN, DONE)
    other = [Record("c", 1, {"id": "c", "z": [2], "x": "label"})]
    reading = Reading(tensor_mapping=[TensorMapping(tensor="x", field="z")])
    assert {0: {"y": [2.0]}} == world.cache(reading=reading).known(other)


@pytest.mark.parametrize("row", [[float("nan"), 1.0], [1.0, float("-inf")], [[2.0, float("nan")]]])
@pytest.mark.parametrize(("form", "known"), [(ResultFormat.PARQUET, {1}), (ResultFormat.JSONL, {0, 1})])
def test_what_the_cache_could_not_keep_is_computed_where_results_can_say_it(
    row: list[Any], form: ResultFormat, known: set[int]
) -> None:
    world = World()
    answer = Answer({"y": np.array([row, np.zeros_like(row)])}, "4")
    world.cache().store(GIVEN, Outcomes(answers=[Answered(Block([0, 1], {}), answer, 1)]))
    assert known == set(world.cache(writing=Writing(format=form)).known(GIVEN))


@pytest.mark.parametrize("mode", ["Disabled", "Read"])
def test_only_a_job_that_may_write_keeps_anything(mode: Mode) -> None:
    world = World()
    world.cache(mode).store(GIVEN, DONE)
    assert {} == world.prediction_cache.kept


def test_a_job_without_the_cache_or_without_inference_reads_nothing() -> None:
    world = World()
    world.cache().store(GIVEN, DONE)
    assert {} == world.cache("Disabled").known(GIVEN)
    assert {} == world.cache(dry_run=True).known(GIVEN)


def test_of_several_versions_the_registry_says_which_serves() -> None:
    world = World(redis=Registry(serving="4"))
    world.cache().store(GIVEN, DONE)
    assert 2 == len(world.cache(versions=("4", "5")).known(GIVEN))
    world.redis.serving = "5"
    assert {} == world.cache(versions=("4", "5")).known(GIVEN)


def test_without_a_known_version_nothing_is_looked_up() -> None:
    world = World(redis=Registry(is_away=True))
    world.cache().store(GIVEN, DONE)
    assert {} == world.cache(versions=("4", "5")).known(GIVEN)


@pytest.mark.parametrize(
    "form", [{"outputs": ["y"]}, {"reading": Reading(tensor_mapping=[TensorMapping(tensor="x", field="z")])}]
)
def test_what_is_not_the_whole_answer_to_the_whole_record_stands_apart(form: dict[str, Any]) -> None:
    world = World()
    world.cache().store(GIVEN, DONE)
    assert {} == world.cache(**form).known(GIVEN)
