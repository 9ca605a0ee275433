"""The sample recommender, whole: events in Kafka, the bridge, a worker, its pipeline, and Triton with its model."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from containers import Container, free_port
from kafka import Kafka
from waiters import wait_until
from web import says_yes
from worker_jobs import Platform

from millrace_contracts.pipelines import RunState, run_key
from millrace_contracts.streams import StreamBatch, StreamRecord
from millrace_contracts.tasks import RUN_PIPELINE
from millrace_recommender import layout
from millrace_recommender.recommendations import Recommendations
from millrace_recommender.scoreboard import read_scoreboard
from millrace_recommender.serving import tensors
from millrace_recommender.store import Store
from millrace_recommender.tasks import UPDATE, WRITE_ACTIVE_USERS
from millrace_recommender.training import read_factors, top_items
from millrace_worker.clock import seconds_since_epoch

PASSWORD = "integration"
"""Of the servers in conftest.py."""
PIPELINE = "recommender"
USERS, ITEMS = 60, 80


@dataclass
class Shop:
    """All that the recommender needs, and what a test looks at."""

    platform: Platform
    kafka: Kafka
    triton: Container
    models: Path
    topic: str

    @property
    def store(self) -> Store:
        """What the recommender keeps in Redis."""
        return Store(self.platform.redis)

    def generate(self, *, seconds: float = 2.0, seed: int = 1) -> int:
        """Write generated events to Kafka; answers how many."""
        arguments = {"topic": self.topic, "rate": 300, "users": USERS, "items": ITEMS, "seconds": seconds, "seed": seed}
        done = subprocess.run(
            [sys.executable, "-m", "millrace_recommender.activity"]
            + [f"--{name}={value}" for name, value in arguments.items()],
            env={**os.environ, **self.kafka.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout.splitlines()[-1].split(" ")[0])

    def logged(self) -> int:
        """Count the events in the log for training."""
        return sum(len(self.store.log(str(shard))) for shard in range(layout.SHARDS))

    def recommended(self, user: str) -> Recommendations | None:
        """Answer what a user is recommended now."""
        text: Any = self.platform.redis.get(layout.recommendations_key(user))
        return Recommendations.read(text) if text else None

    def run_pipeline(self, run_id: str) -> dict[str, str]:
        """Run the pipeline to its end."""
        payload = {"pipeline": PIPELINE, "run_id": run_id, "requested_by": "a test"}
        self.platform.publish(RUN_PIPELINE, {"payload": payload}, run_id)

        def ended() -> dict[str, str] | None:
            fields: Any = self.platform.redis.hgetall(run_key(PIPELINE, run_id))
            return dict(fields) if fields.get("state") not in {None, RunState.RUNNING} else None

        return wait_until(ended, what=f"run {run_id} to end", timeout_seconds=120, explain=self.platform.logs)

    def batch(self, first_offset: int, *values: dict[str, Any]) -> dict[str, Any]:
        """Make a batch as the bridge does, of another stream."""
        records = [StreamRecord(offset=first_offset + i, value=value) for i, value in enumerate(values)]
        batch = StreamBatch(
            stream="by-hand",
            topic=self.topic,
            partition=0,
            from_offset=first_offset,
            to_offset=first_offset + len(values),
            records=records,
        )
        return {"batch": batch.model_dump(mode="json")}


@pytest.fixture(scope="module")
def shop(
    rabbitmq: Container, redis: Container, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    platform = Platform(
        broker_url=f"amqp://worker:{PASSWORD}@127.0.0.1:{rabbitmq.ports[5672]}/millrace",
        # A database of its own: the recommender's keys name no pool.
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/5",
        triton_url="",
        queue=f"pool-{uuid.uuid4().hex[:8]}",
        folder=tmp_path_factory.mktemp("recommender"),
    )
    models = platform.claim / "models"
    models.mkdir()
    own_triton = triton_with(models)
    platform.triton_url = f"127.0.0.1:{own_triton.ports[8001]}"
    topic = f"activity-{platform.queue}"
    bridge = None
    try:
        platform.worker(
            MILLRACE_TASK_MODULES="millrace_recommender.tasks",
            MILLRACE_PIPELINES_FILE=str(pipelines_file(platform)),
        )
        bridge = start_bridge(platform, kafka, topic)
        yield Shop(platform, kafka, own_triton, models, topic)
    finally:
        if bridge is not None:
            bridge.send_signal(signal.SIGTERM)
            bridge.wait(timeout=30)
        platform.close()
        own_triton.remove()


def triton_with(models: Path) -> Container:
    """Start a Triton whose models a pipeline publishes; there is none yet."""
    models.parent.chmod(0o755)
    container = Container(
        image="millrace/triton:dev",
        ports={8000: free_port(), 8001: free_port()},
        command=[
            "tritonserver",
            "--model-repository=/models",
            "--model-control-mode=explicit",
            "--load-model=*",
            "--exit-on-error=false",
            "--strict-readiness=false",
            "--exit-timeout-secs=1",
        ],
        options=[f"--volume={models}:/models:ro", "--shm-size=128m"],
    )
    container.create()
    address = f"http://127.0.0.1:{container.ports[8000]}/v2/health/ready"
    wait_until(lambda: says_yes(address), what="Triton", timeout_seconds=120, explain=container.last_lines)
    return container


def pipelines_file(platform: Platform) -> Path:
    """Describe the pipeline as the chart does."""
    functions = "millrace_recommender.pipeline"
    pipeline = {
        "name": PIPELINE,
        "model": layout.MODEL,
        "queue": platform.queue,
        "preprocess": {"function": f"{functions}.preprocess", "shards": f"{functions}.list_shards"},
        "train": {"function": f"{functions}.train"},
        "evaluate": {"function": f"{functions}.evaluate", "metric": "hit_rate", "minimumImprovement": -1.0},
        "publish": {"repository": "claim:data/models", "tritons": {"urls": [platform.triton_url]}},
        "artifacts": "claim:data/artifacts",
        "parameters": {"halfLifeSeconds": 60, "heldOutPerUser": 1},
    }
    file = platform.folder / "pipelines.json"
    file.write_text(json.dumps([pipeline]))
    return file


def start_bridge(platform: Platform, kafka: Kafka, topic: str) -> subprocess.Popen[bytes]:
    """Start the process that takes events from Kafka to the worker's queue."""
    stream = {
        "name": "activity",
        "topic": topic,
        "group": topic,
        "task": UPDATE,
        "queue": platform.queue,
        "required": ["user", "item", "kind"],
        "createTopics": {"enabled": True, "partitions": 2},
    }
    file = platform.folder / "stream.json"
    file.write_text(json.dumps(stream))
    with (platform.folder / "bridge.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "millrace_ingest"],
            env={
                **os.environ,
                **kafka.environment,
                "MILLRACE_BROKER_URL": platform.broker_url,
                "MILLRACE_INGEST_CONFIG_FILE": str(file),
                "MILLRACE_INGEST_PORT": "0",
            },
            stdout=log,
            stderr=log,
        )


def test_until_there_is_a_model_everybody_gets_what_is_popular(shop: Shop) -> None:
    written = shop.generate()
    wait_until(lambda: shop.logged() >= written, what="all events in the log", explain=shop.platform.logs)
    users = shop.store.active_users(since=0)
    wait_until(lambda: all(known.recommendations for known in shop.store.known(users).values()), what="recommendations")
    assert written == shop.logged()
    assert {layout.POPULARITY} == {
        known.recommendations.model_version for known in shop.store.known(users).values() if known.recommendations
    }


def test_the_pipeline_trains_a_model_and_the_next_events_are_answered_by_it(shop: Shop) -> None:
    run = shop.run_pipeline("first")
    assert (RunState.PUBLISHED, "1") == (run["state"], run["version"]), run["message"]
    before = shop.logged()
    written = shop.generate(seed=2)
    wait_until(
        lambda: (
            "1"
            in {row.version for row in read_scoreboard(shop.platform.redis, now=seconds_since_epoch(), minutes=5).slots}
        ),
        what="hits of version 1",
        explain=shop.platform.logs,
    )
    # The tests after this one count events of their own.
    wait_until(lambda: shop.logged() >= before + written, what="all events in the log", explain=shop.platform.logs)
    board = read_scoreboard(shop.platform.redis, now=seconds_since_epoch(), minutes=5)
    assert board.latency_p95_seconds is not None


def test_triton_answers_what_the_trained_factors_say(shop: Shop) -> None:
    shop.platform.publish(UPDATE, shop.batch(0, event("probe", 3), event("probe", 5)), "probe")
    seen = wait_until(lambda: shop.recommended("probe"), what="recommendations", explain=shop.platform.logs)
    import onnx  # noqa: PLC0415 - slow, and only here

    factors = read_factors(onnx.load(shop.models / layout.MODEL / seen.model_version / "model.onnx"))
    inputs = tensors([shop.store.histories(["probe"])["probe"]])
    assert top_items(factors, inputs[layout.ITEMS], inputs[layout.WEIGHTS])[0].tolist() == list(seen.items)


def test_what_comes_twice_counts_once(shop: Shop) -> None:
    before = shop.logged()
    first, again = (
        shop.batch(10, event("twice", 3), event("twice", 5)),
        shop.batch(11, event("twice", 5), event("twice", 7)),
    )
    for number, batch in enumerate((first, first, again)):
        shop.platform.publish(UPDATE, batch, f"twice-{number}")
    wait_until(lambda: shop.logged() >= before + 3, what="three events", explain=shop.platform.logs)
    shop.platform.publish(UPDATE, shop.batch(20, event("after", 1)), "after")
    wait_until(lambda: shop.recommended("after"), what="the batch after them", explain=shop.platform.logs)
    assert before + 4 == shop.logged()
    assert (7, 5, 3) == shop.store.histories(["twice"])["twice"].items


def test_an_event_that_means_nothing_is_counted_and_its_neighbour_lives(shop: Shop) -> None:
    shop.platform.publish(UPDATE, shop.batch(30, {"user": "odd", "item": -5, "kind": "view"}, event("even", 4)), "odd")
    wait_until(lambda: shop.recommended("even"), what="the neighbour", explain=shop.platform.logs)
    assert 1 == read_scoreboard(shop.platform.redis, now=seconds_since_epoch(), minutes=1).refused_events


def test_active_users_are_written_as_records_of_a_job(shop: Shop) -> None:
    shop.platform.publish(WRITE_ACTIVE_USERS, {"claim": "data", "path": "input/users.jsonl"}, "users")
    file = shop.platform.claim / "input" / "users.jsonl"
    wait_until(file.exists, what="the file", explain=shop.platform.logs)
    records = {record["key"]: record for record in map(json.loads, file.read_text().splitlines())}
    assert [5, 3] == records["probe"][layout.ITEMS]
    assert set(shop.store.active_users(since=0)) == set(records)


def test_while_triton_is_away_events_count_and_recommendations_come_later(shop: Shop) -> None:
    shop.triton.stop()
    try:
        shop.platform.publish(UPDATE, shop.batch(40, event("patient", 3)), "patient")
        wait_until(
            lambda: shop.store.histories(["patient"])["patient"].items, what="the event", explain=shop.platform.logs
        )
        assert shop.recommended("patient") is None
    finally:
        shop.triton.start()
    seen = wait_until(lambda: shop.recommended("patient"), what="recommendations", explain=shop.platform.logs)
    assert "1" == seen.model_version
    assert (3,) == shop.store.histories(["patient"])["patient"].items


def event(user: str, item: int) -> dict[str, Any]:
    return {"user": user, "item": item, "kind": "view", "at": round(seconds_since_epoch(), 3) + item / 1000}
