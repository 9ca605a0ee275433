"""Measure the gateway: what it adds to a call of Triton, what the cache saves, and how much gathering gains.

RabbitMQ, two Redis and Triton in containers, one worker and one gateway beside them, and the callers too share this
machine, so the figures are those of a small machine that does everything.
"""

import argparse
import asyncio
import hashlib
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
import redis
from tritonclient.grpc import InferenceServerClient, InferInput

from millrace_contracts.models import serving_key
from millrace_loadtest.pipeline import callers, per_record, servers

QUEUE: Final = "gateway"
KEY: Final = "benchmark"
WIDTH: Final = 32
ROUNDS: Final = 6
CALLS_OF_A_ROUND: Final = 60
IN_FLIGHT: Final = 64
TURNS: Final = 3
SECONDS_OF_A_TURN: Final = 5.0
CONCURRENCY: Final = 2
PREDICT: Final = "/v1/models/{model}/predictions?wait=30"
MODEL_CONFIG: Final = """
name: "scorer"
backend: "python"
max_batch_size: 64
input [ { name: "x" data_type: TYPE_FP32 dims: [ 32 ] } ]
output [ { name: "score" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
dynamic_batching { preferred_batch_size: [ 16, 32 ] max_queue_delay_microseconds: 500 }
"""
MODEL: Final = '''
"""A perceptron of 32, 64 and 1 units with fixed weights."""

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        rng = np.random.default_rng(7)
        self.w1 = (rng.standard_normal((32, 64)) * 0.2).astype(np.float32)
        self.w2 = (rng.standard_normal((64, 1)) * 0.2).astype(np.float32)

    def execute(self, requests):
        return [self.answer(pb.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    def answer(self, x):
        y = 1.0 / (1.0 + np.exp(-(np.maximum(x @ self.w1, 0) @ self.w2)))
        return pb.InferenceResponse([pb.Tensor("score", np.ascontiguousarray(y, dtype=np.float32))])
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What runs."""

    rabbitmq: servers.Server
    redis: servers.Server
    triton: servers.Server
    gateway_port: int


def measure(folder: Path) -> dict[str, Any]:
    """Start everything, measure, and answer the figures."""
    with ExitStack() as stack:
        conditions = servers.conditions()
        bench = _start(stack, folder)
        stack.enter_context(_plain_worker(bench, folder))
        return {**asyncio.run(_measure(bench)), "conditions": conditions}


def records(seed: int | None = None) -> Iterator[list[float]]:
    """Answer records that differ from all others."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    while True:
        yield [round(chance.gauss(0, 1), 4) for _ in range(WIDTH)]


async def _measure(bench: Bench) -> dict[str, Any]:
    direct, through = [], []
    async with callers.calling(IN_FLIGHT, port=bench.gateway_port, key=KEY) as all_callers:
        # Both in turn, so that what else the machine does meets both.
        for number in range(ROUNDS + 1):
            slow = _direct(bench, CALLS_OF_A_ROUND)
            fast = await _timed(all_callers[0], "scorer", CALLS_OF_A_ROUND)
            if number > 0:
                direct += slow
                through += fast
        hits = await _timed_hits(all_callers[0], ROUNDS * CALLS_OF_A_ROUND)
        inferences = await _equal_requests(bench)
        gathered, single = await _rates(bench, all_callers)
    return {
        "direct_p50_milliseconds": _median(direct),
        "gateway_p50_milliseconds": _median(through),
        "overhead_p50_milliseconds": round(statistics.median(through) - statistics.median(direct), 2),
        "cache_hit_p50_milliseconds": _median(hits),
        "gateway_records_per_second": round(gathered, 1),
        "celery_records_per_second": round(single, 1),
        "throughput_ratio": round(gathered / single, 2),
        "inferences_of_100_equal_requests": inferences,
    }


async def _rates(bench: Bench, all_callers: Sequence[callers.Caller]) -> tuple[float, float]:
    """Answer the records a second of the gateway and of one task for each record, measured in turn."""
    bodies = ({"inputs": {"x": x}} for x in records())
    path = PREDICT.format(model="scorer")
    gathered, single = [], []
    for _ in range(TURNS):
        gathered.append(
            await callers.throughput(all_callers, path, bodies, seconds=SECONDS_OF_A_TURN, accept=_has_score)
        )
        single.append(
            per_record.throughput(
                bench.rabbitmq.url, bench.redis.url, records(), in_flight=IN_FLIGHT, seconds=SECONDS_OF_A_TURN
            )
        )
    return statistics.mean(gathered), statistics.mean(single)


def _direct(bench: Bench, count: int) -> list[float]:
    client = InferenceServerClient(bench.triton.url)
    taken = []
    source = records()
    for _ in range(count):
        began = perf_counter()
        given = InferInput("x", [1, WIDTH], "FP32")
        given.set_data_from_numpy(np.array([next(source)], dtype=np.float32))
        client.infer("scorer", [given])
        taken.append((perf_counter() - began) * 1000)
    client.close()
    return taken


async def _timed(caller: callers.Caller, model: str, count: int) -> list[float]:
    source = records()
    bodies = [{"inputs": {"x": next(source)}} for _ in range(count)]
    return await callers.timed(caller, PREDICT.format(model=model), bodies, accept=_has_score)


async def _timed_hits(caller: callers.Caller, count: int) -> list[float]:
    body = {"inputs": {"x": next(records())}}
    path = PREDICT.format(model="scorer-cached")
    await caller.post(path, body)
    return await callers.timed(caller, path, [body] * count, accept=lambda answer: b'"cached":true' in answer)


async def _equal_requests(bench: Bench) -> int:
    before = _inferences(bench)
    body = {"inputs": {"x": next(records())}}
    async with callers.calling(100, port=bench.gateway_port, key=KEY) as hundred:
        path = PREDICT.format(model="scorer-cached")
        answers = await asyncio.gather(*(caller.post(path, body) for caller in hundred))
    if not all(status == HTTPStatus.OK and _has_score(answer) for status, answer in answers):
        raise RuntimeError("not all of the equal requests were answered")
    return _inferences(bench) - before


def _inferences(bench: Bench) -> int:
    client = InferenceServerClient(bench.triton.url)
    (known,) = client.get_inference_statistics("scorer-cached", as_json=True)["model_stats"]
    client.close()
    return int(known.get("inference_count", 0))


def _start(stack: ExitStack, folder: Path) -> Bench:
    models = folder / "models"
    for name in ("scorer", "scorer-cached"):
        version = models / name / "1"
        version.mkdir(parents=True)
        (version / "model.py").write_text(MODEL)
        (models / name / "config.pbtxt").write_text(MODEL_CONFIG.replace('"scorer"', f'"{name}"'))
    rabbitmq = stack.enter_context(servers.rabbitmq(folder / "rabbitmq"))
    state = stack.enter_context(servers.redis())
    cache = stack.enter_context(servers.redis("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"))
    triton = stack.enter_context(servers.triton(models))
    redis.Redis.from_url(state.url).set(serving_key("scorer-cached"), "1")
    environment = {"MILLRACE_BROKER_URL": rabbitmq.url, "MILLRACE_REDIS_URL": state.url}
    environment["MILLRACE_CACHE_URL"] = cache.url
    worker_environment = {**environment, "MILLRACE_TRITON_URL": triton.url, "MILLRACE_LOG_LEVEL": "WARNING"}
    stack.enter_context(
        servers.worker(folder / "worker", queue=QUEUE, environment=worker_environment, concurrency=CONCURRENCY)
    )
    servers.wait_for_worker(folder / "worker")
    port = servers.free_port()
    stack.enter_context(gateway(folder / "gateway", port=port, environment=environment, models=_MODELS))
    servers.wait_for(
        lambda: servers.status(f"http://127.0.0.1:{port}/v2/health/ready") == HTTPStatus.OK, what="the gateway"
    )
    return Bench(rabbitmq=rabbitmq, redis=state, triton=triton, gateway_port=port)


_MODELS: Final[Sequence[Mapping[str, Any]]] = (
    {"name": "scorer", "queue": QUEUE},
    {"name": "scorer-cached", "queue": QUEUE, "cacheTtlSeconds": 600},
)


def gateway(
    folder: Path, *, port: int, environment: Mapping[str, str], models: Sequence[Mapping[str, Any]]
) -> servers.Program:
    """Describe a gateway that knows one key."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"models": models}))
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    (folder / "keys.json").write_text(json.dumps([{"name": "bench", "sha256": hashed, "scopes": ["predict"]}]))
    own = {
        "MILLRACE_GATEWAY_CONFIG_FILE": str(folder / "config.json"),
        "MILLRACE_GATEWAY_KEYS_FILE": str(folder / "keys.json"),
        "MILLRACE_HOST": "127.0.0.1",
        "MILLRACE_PORT": str(port),
    }
    return servers.Program([sys.executable, "-m", "millrace_gateway"], {**environment, **own}, folder / "gateway.log")


def _plain_worker(bench: Bench, folder: Path) -> servers.Program:
    command = [str(Path(sys.executable).parent / "celery"), "-A", "millrace_loadtest.pipeline.per_record", "worker"]
    command += [f"--concurrency={CONCURRENCY}", "--without-gossip", "--without-mingle", "--loglevel=WARNING"]
    environment = {
        "PER_RECORD_BROKER_URL": bench.rabbitmq.url,
        "PER_RECORD_REDIS_URL": bench.redis.url,
        "PER_RECORD_TRITON_URL": bench.triton.url,
    }
    return servers.Program(command, environment, folder / "plain-worker.log")


def _has_score(answer: bytes) -> bool:
    return b'"score"' in answer


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


def main(run: Callable[[Path], dict[str, Any]] = measure) -> int:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        figures = run(Path(folder))
    arguments.report.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))  # noqa: T201 - the report is for the terminal
    return 0


if __name__ == "__main__":
    sys.exit(main())
