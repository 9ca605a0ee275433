"""The gateway over HTTP: one or many records in, answers out, whoever computes them and wherever they are kept."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton_http
from containers import Container, free_port
from gateway_process import ADMIN_KEY, PREDICT_KEY, GatewayProcess
from httpx_sse import connect_sse
from patient_cache import patient
from triton_counts import asked
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.models import serving_key
from millrace_contracts.pool_waits import WAITS_KEY, PoolWait
from millrace_worker.clock import seconds_since_epoch

MAX_BODY = 64 * 1024


@dataclass
class Front:
    """Two replicas before one pool, with a cache."""

    platform: Platform
    cache: Container
    replicas: tuple[GatewayProcess, GatewayProcess]
    client: httpx.Client
    """Of the first replica."""
    other: httpx.Client
    """Of the second."""
    metrics_port: int
    """Of Triton."""

    def inferences(self, model: str) -> int:
        """Count the rows that Triton has computed."""
        return asked(self.metrics_port, model).records

    def serve(self, model: str, version: str) -> None:
        """Record which version serves, as a publication does."""
        self.platform.redis.set(serving_key(model), version)


@pytest.fixture(scope="module")
def cache() -> Iterator[Container]:
    command = ["redis-server", "--save", "", "--protected-mode", "no"]
    container = Container(image="millrace/redis:8", ports={6379: free_port()}, command=command)
    container.create()
    try:
        container.wait_for("redis-cli", "ping")
        yield container
    finally:
        container.remove()


@pytest.fixture(scope="module")
def front(
    make_platform: Callable[[Path], Platform],
    triton: Container,
    cache: Container,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("gateway")
    platform = make_platform(folder)
    cache_url = patient(f"redis://127.0.0.1:{cache.ports[6379]}/0")
    queues = {"queue": platform.queue, "batchQueue": f"{platform.queue}-nobody"}
    config = {
        "models": [
            {"name": "identity", **queues, "cacheTtlSeconds": 600},
            {"name": "slow", **queues, "cacheTtlSeconds": 600},
            {"name": "whole", **queues},
        ],
        "maxBodyBytes": MAX_BODY,
    }
    replicas = tuple(
        GatewayProcess(platform.broker_url, platform.redis_url, folder / name, config, cache_url=cache_url)
        for name in ("first", "second")
    )
    try:
        platform.worker(MILLRACE_CACHE_URL=cache_url, is_awaited=False)
        for replica in replicas:
            replica.start()
        platform.workers[0].wait_until_ready()
        with replicas[0].client() as client, replicas[1].client() as other:
            yield Front(platform, cache, (replicas[0], replicas[1]), client, other, triton.ports[8002])
    finally:
        for replica in replicas:
            replica.stop()
        platform.redis.delete(*map(serving_key, ("identity", "slow")))
        platform.close()


def predict(client: httpx.Client, inputs: Any, *, model: str = "identity", wait: float = 20, **fields: Any) -> Any:
    """Ask for one record, and answer its prediction."""
    answer = client.post(f"/v1/models/{model}/predictions?wait={wait}", json={"inputs": inputs, **fields})
    assert answer.status_code in {200, 202}, answer.text
    return answer.json()["predictions"][0]


def submit_for_nobody(client: httpx.Client) -> str:
    """Submit a record to a queue that nobody consumes; answers its id."""
    return str(predict(client, {"x": [1, 2]}, wait=0, priority="batch")["id"])


def test_records_are_answered_in_their_order_and_a_bad_one_fails_alone(front: Front) -> None:
    records = [{"x": [1, 2]}, {"x": [1]}, {"x": [3, 4]}]
    answer = front.client.post("/v1/models/identity/predictions?wait=20", json={"records": records})
    predictions = answer.json()["predictions"]
    assert [{"y": [1.0, 2.0]}, None, {"y": [3.0, 4.0]}] == [each["outputs"] for each in predictions]
    assert '"x" has the shape [1], and the model needs [2]' == predictions[1]["error"]["message"]


def test_a_caller_that_does_not_wait_gets_an_id_and_finds_the_answer_at_another_replica(front: Front) -> None:
    answer = front.client.post("/v1/models/slow/predictions", json={"inputs": {"x": [1, 2]}})
    assert 202 == answer.status_code
    found = front.other.get(answer.headers["Location"], params={"wait": 20}).json()
    assert ("Succeeded", {"y": [1.0, 2.0]}) == (found["state"], found["outputs"])


def test_tritons_own_client_works_unchanged(front: Front) -> None:
    client = triton_http.InferenceServerClient(front.replicas[0].url.removeprefix("http://"))
    x = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)

    def headers() -> dict[str, str]:
        # The client writes its own headers into what it is given.
        return {"Authorization": f"Bearer {PREDICT_KEY}"}

    assert client.is_server_ready()
    assert client.is_model_ready("identity", headers=headers())
    assert not client.is_model_ready("identity", "9", headers=headers())
    metadata = client.get_model_metadata("identity", headers=headers())
    assert [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}] == metadata["inputs"]
    assert 16 == client.get_model_config("identity", headers=headers())["max_batch_size"]
    for is_binary in (True, False):
        given = triton_http.InferInput("x", list(x.shape), "FP32").set_data_from_numpy(x, binary_data=is_binary)
        wanted = triton_http.InferRequestedOutput("y", binary_data=is_binary)
        result = client.infer(
            "identity", [given], outputs=[wanted], headers=headers(), request_compression_algorithm="gzip"
        )
        np.testing.assert_array_equal(x, result.as_numpy("y"))
    text = triton_http.InferInput("text", [1], "BYTES").set_data_from_numpy(np.array(["é"], dtype=object))
    assert "É" == client.infer("whole", [text], headers=headers()).as_numpy("echo")[0].decode()


def test_events_bring_each_answer_of_several_predictions(front: Front) -> None:
    ids = [predict(front.client, {"x": [i, 9]}, model="slow", wait=0)["id"] for i in range(3)]
    with connect_sse(front.other, "GET", "/v1/predictions/events", params={"id": ids}) as source:
        last = {event.id: event.json()["state"] for event in source.iter_sse()}
    assert dict.fromkeys(ids, "Succeeded") == last


def test_a_prediction_is_cancelled_once_and_whoever_waits_hears_of_it(front: Front) -> None:
    name = submit_for_nobody(front.client)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(front.other.get, f"/v1/predictions/{name}", params={"wait": 20})
        assert "Cancelled" == front.client.delete(f"/v1/predictions/{name}").json()["state"]
        assert "Cancelled" == waiting.result().json()["state"]
    assert 409 == front.client.delete(f"/v1/predictions/{name}").status_code


def test_a_deadline_that_passes_ends_the_prediction(front: Front) -> None:
    late = predict(front.client, {"x": [1, 2]}, priority="batch", deadlineSeconds=0.2)
    assert ("Failed", "DeadlineExceeded") == (late["state"], late["error"]["code"])
    assert 409 == front.client.delete(f"/v1/predictions/{late['id']}").status_code


def test_a_hundred_equal_requests_at_two_replicas_are_one_inference(front: Front) -> None:
    front.serve("slow", "1")
    before = front.inferences("slow")

    async def ask_all() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(headers={"X-API-Key": PREDICT_KEY}, timeout=90, limits=limits) as client:
            body = {"inputs": {"x": [7, 7]}}
            urls = [f"{front.replicas[i % 2].url}/v1/models/slow/predictions?wait=20" for i in range(100)]
            return await asyncio.gather(*(client.post(url, json=body) for url in urls))

    answers = [answer.json()["predictions"][0] for answer in asyncio.run(ask_all())]
    assert 100 == len({answer["id"] for answer in answers})
    assert [{"y": [7.0, 7.0]}] * 100 == [answer["outputs"] for answer in answers]
    assert 1 == front.inferences("slow") - before


def test_an_answer_is_kept_until_another_version_serves(front: Front) -> None:
    front.serve("identity", "1")
    seen = [predict(front.client, {"x": [8, 8]})["cached"] for _ in range(2)]
    front.serve("identity", "2")
    seen.append(predict(front.client, {"x": [8, 8]})["cached"])
    assert [False, True, False] == seen


def test_a_cache_that_is_away_is_no_error(front: Front) -> None:
    front.serve("identity", "1")
    predict(front.client, {"x": [6, 6]})
    front.cache.kill()
    try:
        answers = [predict(front.client, {"x": [6, 6]}) for _ in range(3)]
    finally:
        front.cache.start()
    assert [(False, {"y": [6.0, 6.0]})] * 3 == [(each["cached"], each["outputs"]) for each in answers]


def test_a_queue_beyond_its_objective_refuses_with_the_time_to_come_back(front: Front) -> None:
    queue = f"{front.platform.queue}-nobody"

    def post() -> httpx.Response:
        return front.client.post("/v1/models/whole/predictions", json={"inputs": {"text": ["a"]}, "priority": "batch"})

    # What is old refuses nobody; this stays young for as long as the test may take.
    read_at = seconds_since_epoch() + 60
    wait = PoolWait(pool="p", wait_seconds=75.0, objective_seconds=30.0, read_at=read_at)
    front.platform.redis.hset(WAITS_KEY, queue, wait.model_dump_json())
    try:
        wait_until(lambda: post().status_code == 429, what="the refusal")
        assert "45" == post().headers["Retry-After"]
    finally:
        front.platform.redis.hdel(WAITS_KEY, queue)
    wait_until(lambda: post().status_code == 202, what="the end of the refusal")


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v1/models/nosuch/predictions", b"{}", 404, "there is: identity, slow, whole"),
        ("/v2/models/nosuch/infer", b"{}", 404, "there is: identity, slow, whole"),
        ("/v1/models/identity/predictions", b"{", 400, "not JSON"),
        ("/v1/models/identity/predictions", b'{"inputs": {"x": NaN}}', 400, "NaN"),
        ("/v1/models/identity/predictions", b'{"inputs": {"x": [1e999, 2]}}', 422, "inputs"),
        ("/v1/models/identity/predictions", b'{"records": [{"x": [1, 2]}, 3]}', 422, "records[1]"),
        ("/v1/models/identity/predictions", b" " * (MAX_BODY + 1), 413, "larger than"),
        ("/v2/models/identity/infer", b'{"inputs": [{"name": "x", "datatype": "FP32"}]}', 400, "shape"),
    ],
)
def test_bad_input_is_named(front: Front, path: str, body: bytes, status: int, says: str) -> None:
    answer = front.client.post(path, content=body)
    error = answer.json()["error"]
    assert status == answer.status_code
    assert says in (error if path.startswith("/v2") else error["message"])


def test_who_asks_must_have_a_key_with_the_scope(front: Front) -> None:
    with httpx.Client(base_url=front.replicas[0].url) as nobody:
        assert 401 == nobody.get("/v1/predictions/a").status_code
        assert 401 == nobody.get("/v1/predictions/a", headers={"X-API-Key": "wrong"}).status_code
        assert 403 == nobody.get("/v1/models", headers={"X-API-Key": PREDICT_KEY}).status_code
        assert 200 == nobody.get("/v1/models", headers={"Authorization": f"Bearer {ADMIN_KEY}"}).status_code


def test_a_connection_that_rabbitmq_closes_comes_back(front: Front, rabbitmq: Container) -> None:
    rabbitmq.run("rabbitmqctl", "close_all_connections", "--vhost", "millrace", "test")

    def answer() -> Any:
        given = front.client.post("/v1/models/identity/predictions?wait=5", json={"inputs": {"x": [4, 5]}})
        assert given.status_code in {200, 202, 503}
        return given.json()["predictions"][0]["outputs"] if given.status_code == 200 else None

    assert {"y": [4.0, 5.0]} == wait_until(answer, what="an answer")


def test_a_replica_that_is_told_to_end_answers_what_is_in_flight(front: Front, tmp_path: Path) -> None:
    first = front.replicas[0]
    replica = GatewayProcess(first.broker_url, first.redis_url, tmp_path, first.config)
    replica.start()
    row = {"name": "x", "datatype": "FP32", "shape": [8, 2], "data": list(range(16))}
    try:
        with replica.client() as client, ThreadPoolExecutor(2) as threads:
            triton_caller = threads.submit(client.post, "/v2/models/slow/infer", json={"inputs": [row]})
            waiting = threads.submit(
                client.post,
                "/v1/models/slow/predictions?wait=60",
                json={"inputs": {"x": [1, 2]}, "priority": "batch"},
            )
            wait_until(lambda: published(replica) >= 2, what="both requests to arrive")
            replica.stop()
            assert 200 == triton_caller.result().status_code, triton_caller.result().text
            assert 202 == waiting.result().status_code
    finally:
        replica.stop()


def published(replica: GatewayProcess) -> int:
    """Count the tasks that a replica has published."""
    text = httpx.get(f"{replica.url}/metrics").text
    counts = [line for line in text.splitlines() if line.startswith("millrace_gateway_batch_records_count")]
    return sum(int(float(line.split()[-1])) for line in counts)


def test_without_rabbitmq_nothing_is_accepted_and_the_time_to_come_back_is_said(front: Front, tmp_path: Path) -> None:
    first = front.replicas[0]
    away = f"amqp://worker:wrong@127.0.0.1:{free_port()}/millrace"
    replica = GatewayProcess(away, first.redis_url, tmp_path, first.config)
    replica.start(is_awaited=False)
    try:
        wait_until(replica.is_alive, what="the process", timeout_seconds=60, explain=lambda: replica.log)
        with replica.client() as client:
            answer = client.post("/v1/models/identity/predictions", json={"inputs": {"x": [1, 2]}})
            assert (503, "2") == (answer.status_code, answer.headers["Retry-After"])
            assert 503 == client.get("/v2/health/ready").status_code
        assert "wrong" not in replica.log
    finally:
        replica.stop()
