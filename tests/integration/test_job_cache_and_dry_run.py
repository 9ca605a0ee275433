"""Jobs that compute less than all: what the cache knows is not computed again, and a dry run computes nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from containers import Container
from patient_cache import patient
from triton_counts import NOTHING, Asked, asked
from worker_jobs import Job, Platform, claim_output

from millrace_contracts.inputs import ClaimInput
from millrace_contracts.ledger import Field
from millrace_contracts.outputs import Output, RedisOutput
from millrace_contracts.results import MANIFEST_FILE
from millrace_contracts.tasks import CacheUse

RECORDS = 40


def cache_url(pool: Platform) -> str:
    return pool.redis_url.replace("/0", "/8")


@pytest.fixture(scope="module")
def pool(make_platform: Callable[[Path], Platform], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A pool that has a cache, which no other test uses."""
    platform = make_platform(tmp_path_factory.mktemp("cached"))
    try:
        platform.worker(MILLRACE_CACHE_URL=patient(cache_url(platform)))
        yield platform
    finally:
        platform.close()


@pytest.fixture
def requests(triton: Container) -> Callable[[], Asked]:
    """Say what was asked of the model since the test began."""
    port = triton.ports[8002]
    before = asked(port, "identity")
    return lambda: asked(port, "identity") - before


def lines(first: int, count: int = RECORDS) -> list[str]:
    return [json.dumps({"id": i, "x": [i, 0.25]}) for i in range(first, first + count)]


def run(pool: Platform, source: ClaimInput, *, output: Output | None = None, **spec: Any) -> Job:
    """Do a job of four tasks, to its end."""
    described = pool.spec(output=output or RedisOutput(ttl_seconds=600), key_field="id", records_per_task=10)
    job = pool.submit(described.model_copy(update=spec), source)
    job.wait_until_finalized()
    return job


def cached_entries(pool: Platform) -> int:
    """Count what is in the cache."""
    with redis.Redis.from_url(cache_url(pool)) as client:
        return int(client.dbsize())


def test_a_second_job_asks_the_model_only_for_what_the_first_did_not(
    pool: Platform, requests: Callable[[], Asked]
) -> None:
    cache = CacheUse(mode="ReadWrite")
    first = run(pool, pool.write_input(lines(0), "in/first.jsonl"), cache=cache)
    assert (RECORDS, 0) == (requests().records, first.number(Field.CACHED))
    asked_before = requests()
    second = run(pool, pool.write_input(lines(10), "in/second.jsonl"), cache=cache)
    assert 10 == (requests() - asked_before).records
    assert {"total": RECORDS, "succeeded": RECORDS, "failed": 0, "cached": 30} == second.manifest["records"]
    assert {str(i): [i, 0.25] for i in range(10, 50)} == {
        key: result["outputs"]["y"] for key, result in second.results.items()
    }


def test_a_job_over_the_same_records_asks_the_model_nothing(pool: Platform, requests: Callable[[], Asked]) -> None:
    source, cache = pool.write_input(lines(100), "in/same.jsonl"), CacheUse(mode="ReadWrite")
    first = run(pool, source, cache=cache)
    asked_before = requests()
    second = run(pool, source, cache=CacheUse(mode="Read"))
    assert NOTHING == requests() - asked_before
    assert (first.results, RECORDS) == (second.results, second.number(Field.CACHED))


def test_a_job_that_only_reads_the_cache_leaves_nothing_in_it(pool: Platform) -> None:
    before = cached_entries(pool)
    run(pool, pool.write_input(lines(200), "in/read-only.jsonl"), cache=CacheUse(mode="Read"))
    assert before == cached_entries(pool)


def test_what_the_model_answered_to_other_parameters_is_not_taken_from_the_cache(
    pool: Platform, requests: Callable[[], Asked]
) -> None:
    source, cache = pool.write_input(lines(300), "in/parameters.jsonl"), CacheUse(mode="ReadWrite")
    run(pool, source, cache=cache, parameters={"temperature": "0.1"})
    asked_before = requests()
    other = run(pool, source, cache=cache, parameters={"temperature": "0.2"})
    assert (RECORDS, 0) == ((requests() - asked_before).records, other.number(Field.CACHED))


def test_a_dry_run_asks_the_model_nothing_and_says_which_records_would_fail(
    pool: Platform, requests: Callable[[], Asked]
) -> None:
    source = pool.write_input([*lines(0), '{"id": "short", "x": [1]}', "no JSON"], "in/dry.jsonl")
    before = cached_entries(pool)
    job = run(pool, source, output=claim_output("dry"), dry_run=True, cache=CacheUse(mode="ReadWrite"))
    manifest = json.loads((pool.claim / "dry" / MANIFEST_FILE).read_text())
    assert (True, []) == (manifest["dryRun"], manifest["parts"])
    assert {"total": 42, "succeeded": 40, "failed": 2, "cached": 0} == manifest["records"]
    (part,) = manifest["errors"]
    failures = [json.loads(line) for line in (pool.claim / "dry" / part["name"]).read_text().splitlines()]
    assert {"short": "InvalidRecord", "dry.jsonl:42": "MalformedJSON"} == {
        failure["key"]: failure["error"]["code"] for failure in failures
    }
    files = {str(file.relative_to(pool.claim / "dry")) for file in (pool.claim / "dry").rglob("*") if file.is_file()}
    assert {MANIFEST_FILE, part["name"]} == files
    assert (NOTHING, before) == (requests(), cached_entries(pool))
    assert (42, 40, 2) == job.counts


def test_a_dry_run_into_redis_leaves_errors_and_no_results(pool: Platform) -> None:
    job = run(pool, pool.write_input([*lines(0, 5), "no JSON"], "in/dry-redis.jsonl"), dry_run=True)
    assert ({}, ["dry-redis.jsonl:6"]) == (job.results, list(job.errors))
    assert (True, 0) == (job.manifest["dryRun"], job.manifest["parts"][0]["records"])


def test_the_real_job_may_write_where_its_dry_run_was(pool: Platform) -> None:
    source = pool.write_input([*lines(0, 5), "no JSON"], "in/both.jsonl")
    run(pool, source, output=claim_output("both"), dry_run=True)
    run(pool, source, output=claim_output("both"))
    manifest = json.loads((pool.claim / "both" / MANIFEST_FILE).read_text())
    assert {"total": 6, "succeeded": 5, "failed": 1, "cached": 0} == manifest["records"]
    assert False is manifest["dryRun"]
    assert 5 == len((pool.claim / "both" / manifest["parts"][0]["name"]).read_text().splitlines())
