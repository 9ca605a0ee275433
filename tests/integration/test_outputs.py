"""Results in an object store and in Redis: what is there in the end, and what it means when they cannot be written."""

import hashlib
import io
import json
import multiprocessing
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import redis as redis_client
from containers import Container, free_port
from object_store import ObjectStoreServer, running_object_store
from worker_jobs import Platform

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import ObjectStoreInput
from millrace_contracts.outputs import ObjectStoreOutput, Ordering, OutputJoin, ResultFormat, Writing
from millrace_contracts.results import ErrorDetail, Manifest, RecordFailure, errors_key, results_key
from millrace_worker.errors import OutputUnwritable, StorageUnavailable
from millrace_worker.storage.file_results import FileResults
from millrace_worker.storage.object_folder import ObjectFolder, ObjectStore
from millrace_worker.storage.outcome import Result, ResultColumns
from millrace_worker.storage.redis_results import CHUNK_RECORDS, RedisResults


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStoreServer]:
    with running_object_store(tmp_path_factory.mktemp("store")) as server:
        server.make_bucket("results")
        yield server


@pytest.fixture(autouse=True)
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "store" in request.fixturenames:
        server: ObjectStoreServer = request.getfixturevalue("store")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)


STORE = ObjectStore()
"""As in a worker: one client for all jobs of the process."""


def destination(uri: str, *, uid: str = "u", store: ObjectStore = STORE, **writing: Any) -> FileResults:
    return FileResults(ObjectFolder(store, uri=uri), uid=uid, writing=Writing(**writing))


def failure(line: int) -> RecordFailure:
    detail = ErrorDetail(code=RecordError.INVALID_RECORD, message="no field")
    return RecordFailure(key=f"k{line}", line=line, error=detail, input={"x": line})


def columns(*lines: int) -> ResultColumns:
    scores = np.array([[line, 0.1] for line in lines], dtype=np.float32)
    return ResultColumns(keys=[f"k{line}" for line in lines], lines=lines, outputs={"scores": scores})


def manifest(uid: str = "u") -> Manifest:
    return Manifest(job="n/j", uid=uid, model="m", model_version="1", records={"total": 4}, finished_at="now")


@pytest.mark.parametrize("result_format", ResultFormat)
def test_a_job_leaves_its_parts_and_a_manifest_under_its_prefix(
    store: ObjectStoreServer, result_format: ResultFormat
) -> None:
    suffix = result_format.lower()
    uri = f"s3://results/daily/{suffix}"
    to = destination(uri, format=result_format)
    to.prepare()
    store.put("results", f"daily/{suffix}/part-00009.jsonl", b"of an earlier job")
    store.put("results", f"daily/{suffix}/notes.txt", b"of somebody else")
    parts = {1: to.write_shard(1, columns(3), [failure(4)]), 0: to.write_shard(0, columns(2, 1), [])}
    assert parts[0] == to.write_shard(0, columns(1, 2), [])
    to.write_checkpoint(1, "one")
    to.write_checkpoint(0, "zero")
    assert ({0: "zero", 1: "one"}, True) == (dict(to.read_checkpoints()), to.holds([*parts[0], *parts[1]]))
    assert f"{uri}/manifest.json" == to.write_manifest(manifest(), parts=parts)
    written = json.loads(store.get("results", f"daily/{suffix}/manifest.json"))
    names = [part["name"] for part in written["parts"] + written["errors"]]
    assert [f"part-00000.{suffix}", f"part-00001.{suffix}", "errors/part-00001.jsonl"] == names
    for part in written["parts"] + written["errors"]:
        data = store.get("results", f"daily/{suffix}/{part['name']}")
        assert (part["sizeBytes"], part["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert {"manifest.json", "notes.txt", *names} == store.list("results", f"daily/{suffix}/")
    assert [1, 2, 3] == [
        line for name in names[:2] for line in lines_of(store.get("results", f"daily/{suffix}/{name}"))
    ]
    with pytest.raises(OutputUnwritable, match="holds the results of job"):
        destination(uri, uid="another").prepare()


def test_a_prefix_belongs_to_one_job_at_a_time(store: ObjectStoreServer) -> None:
    uri = "s3://results/shared"
    former = destination(uri)
    for each in (former, destination(uri)):
        each.prepare()
    with pytest.raises(OutputUnwritable, match="is being written by job"):
        destination(uri, uid="another").prepare()
    assert not ObjectFolder(STORE, uri=uri).create(".millrace-job", b"{}")
    destination(uri, uid="another", existing_results="Replace").prepare()
    with pytest.raises(OutputUnwritable, match="was taken over by job"):
        former.write_shard(0, columns(1), [])
    assert {".millrace-job"} == store.list("results", "shared/")


def lines_of(data: bytes) -> list[int]:
    if data.startswith(b"PAR1"):
        return list(pq.read_table(io.BytesIO(data))["line"].to_pylist())
    return [json.loads(line)["line"] for line in data.splitlines()]


def test_a_worker_process_never_uses_the_client_of_its_parent(store: ObjectStoreServer) -> None:
    to = destination("s3://results/forked")
    to.write_shard(0, columns(1), [])
    child = multiprocessing.get_context("fork").Process(target=to.write_shard, args=(1, columns(2), []))
    child.start()
    child.join(timeout=120)
    assert 0 == child.exitcode
    assert {"part-00000.jsonl", "part-00001.jsonl"} == store.list("results", "forked/")


def test_a_bucket_that_is_not_there_is_named_before_anything_is_computed(store: ObjectStoreServer) -> None:
    del store
    with pytest.raises(OutputUnwritable, match='there is no bucket "nowhere"; create it'):
        destination("s3://nowhere/at/all").prepare()


def test_a_key_that_must_not_write_is_told_what_it_needs(store: ObjectStoreServer) -> None:
    store.refuse_everybody()
    try:
        with pytest.raises(OutputUnwritable, match=r"refuses the workers' key .*; allow it to put"):
            destination("s3://results/denied").prepare()
    finally:
        store.allow_everybody()


def test_a_store_that_is_away_costs_time_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(StorageUnavailable, match="cannot be written now"):
        destination("s3://results/away", store=ObjectStore()).write_shard(0, columns(1), [])


@pytest.fixture
def client(redis: Container) -> Iterator[redis_client.Redis]:
    address = f"redis://:integration@127.0.0.1:{redis.ports[6379]}/0"
    with redis_client.Redis.from_url(address, decode_responses=True) as connection:
        yield connection


def test_each_record_of_a_large_shard_is_in_one_hash_of_redis(client: redis_client.Redis) -> None:
    uid, count = uuid.uuid4().hex, 2 * CHUNK_RECORDS + 1
    to = RedisResults(client, uid=uid, ttl_seconds=60, join=OutputJoin.INPUT)
    to.write_shard(0, [], [failure(line) for line in range(count)])
    results = [Result(f"k{line}", line, {"y": np.float32(0.5)}, {"x": line}) for line in range(count - 1)]
    to.write_shard(0, results, [failure(count - 1)])
    good: Any = client.hgetall(results_key(uid))
    bad: Any = client.hgetall(errors_key(uid))
    assert {result.key for result in results} == good.keys()
    assert {f"k{count - 1}"} == bad.keys()
    assert {"key": "k7", "line": 7, "outputs": {"y": 0.5}, "input": {"x": 7}} == json.loads(good["k7"])
    to.write_manifest(manifest(uid), parts={})
    assert 60 >= client.ttl(results_key(uid)) > 0  # type: ignore[operator] # the client is not asynchronous


@pytest.fixture
def pool(store: ObjectStoreServer, make_platform: Callable[[Path], Platform], tmp_path: Path) -> Iterator[Platform]:
    platform = make_platform(tmp_path)
    try:
        platform.worker(**store.environment)
        yield platform
    finally:
        platform.close()


def test_a_whole_job_goes_from_an_object_store_to_parquet_beside_its_input(
    store: ObjectStoreServer, pool: Platform
) -> None:
    lines = [json.dumps({"x": [i, i / 2]}) for i in range(5)] + ['{"x": "wrong"}', "no JSON"]
    store.put("results", "in/records.jsonl", "\n".join(lines).encode())
    output = ObjectStoreOutput(uri="s3://results/whole-job")
    writing = Writing(format=ResultFormat.PARQUET, join=OutputJoin.INPUT, ordering=Ordering.INPUT)
    spec = pool.spec(output=output, records_per_task=2).model_copy(update={"writing": writing})
    job = pool.submit(spec, ObjectStoreInput(uri="s3://results/in/records.jsonl"))
    job.wait_until_finalized()
    written = Manifest.model_validate_json(store.get("results", "whole-job/manifest.json"))
    assert {"total": 7, "succeeded": 5, "failed": 2, "cached": 0} == written.records
    tables = [pq.read_table(io.BytesIO(store.get("results", f"whole-job/{part.name}"))) for part in written.parts]
    assert 1 == len({table.schema.to_string() for table in tables})
    rows = [row for table in tables for row in table.to_pylist()]
    assert [1, 2, 3, 4, 5] == [row["line"] for row in rows]
    assert [json.loads(line)["x"] for line in lines[:5]] == [row["y"] for row in rows]
    assert [json.loads(line) for line in lines[:5]] == [json.loads(row["input"]) for row in rows]
    errors = b"".join(store.get("results", f"whole-job/{part.name}") for part in written.errors)
    codes = [json.loads(line)["error"]["code"] for line in errors.splitlines()]
    assert ["InvalidRecord", "MalformedJSON"] == codes
