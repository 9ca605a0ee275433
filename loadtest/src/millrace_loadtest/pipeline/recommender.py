"""From an event in Kafka to the user's fresh recommendations in Redis, at 200 events a second, on one machine.

Real servers in containers, and our own processes beside them: the generator, the bridge, a worker that serves and one
that trains. The model is trained anew while events go on, so the figures include what training takes from serving. All
events are timed by the worker, after its write; probes are timed from outside as well, by whoever reads Redis.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis as redis_client
from confluent_kafka import Producer
from kombu import Connection

from millrace_contracts.pipelines import RunState, run_key
from millrace_contracts.queues import EXCHANGE
from millrace_contracts.tasks import RUN_PIPELINE
from millrace_contracts.wire import task_message
from millrace_loadtest.pipeline import servers
from millrace_loadtest.pipeline.picture import draw
from millrace_loadtest.pipeline.servers import Program, wait_for
from millrace_recommender import layout
from millrace_recommender.recommendations import HitCount
from millrace_recommender.scoreboard import Scoreboard, percentile, read_scoreboard

QUEUE: Final = "recommender"
TRAINING_QUEUE: Final = "recommender-training"
TOPIC: Final = "activity"
SLOTS: Final = 4
"""Of the worker that serves: its tasks mostly wait, for Redis and Triton."""
PROBE_SECONDS: Final = 0.25
PROBE_LIMIT_SECONDS: Final = 60.0
"""What took longer is counted as this."""
PROBE_LOOK_SECONDS: Final = 0.005
RUN_LIMIT_SECONDS: Final = 120.0
FRESH_SECONDS: Final = 40.0
"""How long a version counts as new, and how long before its end it counts as aged."""
EXPLICIT: Final = (
    "--model-control-mode=explicit",
    "--load-model=*",
    "--exit-on-error=false",
    "--strict-readiness=false",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What happens when, in seconds after the generator's start."""

    events_per_second: float
    train_after: Sequence[float]
    ends_after: float


@dataclass
class Rig:
    """What is running."""

    client: redis_client.Redis
    broker_url: str
    kafka: str
    latencies: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    probes_sent: int = 0

    def take_latencies(self) -> None:
        """Take what the worker noted since the last time, so that none is forgotten."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.lrange(layout.LATENCIES, 0, -1)
            pipe.delete(layout.LATENCIES)
            noted, _ = pipe.execute()
        self.latencies += map(float, noted)

    def probe(self, stopping: threading.Event) -> None:
        """Again and again let somebody new do something, and see from outside when he has recommendations."""
        producer = Producer({"bootstrap.servers": self.kafka, "acks": "all", "linger.ms": 0})
        pause, open_since = threading.Event(), dict[str, float]()
        next_at = time.monotonic()
        while open_since or not stopping.is_set():
            # Sent at a steady pace, whatever became of the ones before: else slow times would have few of them.
            if time.monotonic() >= next_at and not stopping.is_set():
                next_at += PROBE_SECONDS
                user, at = f"probe-{self.probes_sent}", time.time()  # noqa: TID251 - the event's own time
                value = json.dumps({"user": user, "item": self.probes_sent % 50, "kind": "view", "at": round(at, 3)})
                producer.produce(TOPIC, key=user, value=value, timestamp=int(at * 1000))
                producer.poll(0)
                open_since[user] = at
                self.probes_sent += 1
            self._take_answered(open_since)
            pause.wait(PROBE_LOOK_SECONDS)
        producer.flush(10)

    def _take_answered(self, open_since: dict[str, float]) -> None:
        users = list(open_since)
        found: Any = self.client.mget([layout.recommendations_key(user) for user in users]) if users else []
        now = time.time()  # noqa: TID251 - the edge
        for user, text in zip(users, found, strict=True):
            if text is not None or now - open_since[user] > PROBE_LIMIT_SECONDS:
                self.probes.append(now - open_since.pop(user))

    def run_pipeline(self, run_id: str) -> dict[str, str]:
        """Ask for a run, and wait for its end."""
        payload = {"pipeline": layout.MODEL, "run_id": run_id, "requested_by": "benchmark"}
        message = task_message(RUN_PIPELINE, task_id=run_id, kwargs={"payload": payload})
        with Connection(self.broker_url) as connection, connection.channel() as channel:
            connection.Producer(channel).publish(
                message.body,
                exchange=EXCHANGE,
                routing_key=TRAINING_QUEUE,
                headers=dict(message.headers),
                **message.properties,
            )

        def ended() -> dict[str, str] | None:
            fields: Any = self.client.hgetall(run_key(layout.MODEL, run_id))
            return dict(fields) if fields.get("state", RunState.RUNNING) != RunState.RUNNING else None

        return wait_for(ended, what=f"the run {run_id}", limit_seconds=RUN_LIMIT_SECONDS)


@contextmanager
def running(folder: Path) -> Iterator[Rig]:
    """Start everything but the generator."""
    claim = folder / "claims" / "recommender"
    (claim / "models").mkdir(parents=True)
    for part in (folder, folder / "claims", claim, claim / "models"):
        part.chmod(0o755)
    with ExitStack() as stack:
        rabbitmq = stack.enter_context(servers.rabbitmq(folder / "rabbitmq"))
        redis = stack.enter_context(servers.redis())
        kafka = stack.enter_context(servers.kafka(folder / "kafka"))
        triton = stack.enter_context(servers.triton(claim / "models", *EXPLICIT))
        environment = {
            "MILLRACE_BROKER_URL": rabbitmq.url,
            "MILLRACE_REDIS_URL": redis.url,
            "MILLRACE_TRITON_URL": triton.url,
            "MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka.url,
            "MILLRACE_CLAIMS_ROOT": str(folder / "claims"),
            "MILLRACE_TASK_MODULES": "millrace_recommender.tasks",
            "MILLRACE_PIPELINES_FILE": str(_pipelines(folder, triton.url)),
            "OPENBLAS_NUM_THREADS": "1",
        }
        for queue, concurrency in ((QUEUE, SLOTS), (TRAINING_QUEUE, 1)):
            place = folder / queue
            stack.enter_context(servers.worker(place, queue=queue, environment=environment, concurrency=concurrency))
            servers.wait_for_worker(place)
        port = servers.free_port()
        stack.enter_context(servers.bridge(folder / "bridge", stream=_stream(), port=port, environment=environment))
        servers.wait_for_bridge(port)
        client = stack.enter_context(redis_client.Redis.from_url(redis.url, decode_responses=True))
        yield Rig(client=client, broker_url=rabbitmq.url, kafka=kafka.url)


def measure(course: Course, folder: Path) -> dict[str, Any]:
    """Let events go on for the whole course; answers the figures."""
    conditions = servers.conditions()
    with running(folder) as rig:
        stopping = threading.Event()
        prober = threading.Thread(target=rig.probe, args=(stopping,), daemon=True)
        with _generator(course, rig, folder) as generator:
            began = time.monotonic()
            prober.start()
            runs = [_train(rig, at=began + after, number=i) for i, after in enumerate(course.train_after)]
            _go_on(rig, until=lambda: not generator.is_running, limit_seconds=course.ends_after + 60)
            stopping.set()
            prober.join(PROBE_LIMIT_SECONDS + 5)
            written = _written(folder / "generator.log") + rig.probes_sent
            _go_on(rig, until=lambda: _taken_in(rig) >= written, limit_seconds=60)
        lasted = course.ends_after
        board = read_scoreboard(rig.client, now=time.time(), minutes=30)  # noqa: TID251 - the edge
        return {
            "conditions": conditions,
            "events_per_second": round((written - rig.probes_sent) / lasted, 1),
            "seconds": lasted,
            "events": written,
            "lost_events": written - _taken_in(rig),
            **_latencies("event_to_recommendation", rig.latencies),
            **_latencies("probe", rig.probes),
            "training_runs": runs,
            "hit_rate": hit_rates(board),
            "course": course_of(board, began_at=board.read_at - (time.monotonic() - began)),
        }


def hit_rates(board: Scoreboard) -> dict[str, dict[str, float | int | None]]:
    """Say of each version what it was worth when it was new, and at the end of its time."""
    by_version: dict[str, list[Any]] = {}
    for slot in board.slots:
        by_version.setdefault(slot.version, []).append(slot)
    rates = {}
    for version, slots in by_version.items():
        most = max(slot.events for slot in slots)
        # A few users keep an old version's recommendations for long, because they do nothing.
        main = [slot for slot in slots if slot.events > most / 4]
        first, last = main[0].began_at + FRESH_SECONDS, main[-1].began_at - FRESH_SECONDS
        rates[version] = {
            "new": _rate([slot for slot in main if slot.began_at < first]),
            "aged": _rate([slot for slot in main if slot.began_at > last]),
            "events": sum(slot.events for slot in slots),
        }
    return rates


def course_of(board: Scoreboard, *, began_at: float) -> list[dict[str, Any]]:
    """Say how hits went on, by version, in seconds after the beginning."""
    return [
        {
            "at_seconds": round(slot.began_at - began_at, 1),
            "version": slot.version,
            "events": slot.events,
            "hits": slot.hits,
        }
        for slot in board.slots
    ]


def _rate(slots: Sequence[Any]) -> float | None:
    rate = HitCount(sum(slot.events for slot in slots), sum(slot.hits for slot in slots)).rate
    return None if rate is None else round(rate, 4)


def _train(rig: Rig, *, at: float, number: int) -> dict[str, Any]:
    _go_on(rig, until=lambda: time.monotonic() >= at, limit_seconds=3600)
    began = time.monotonic()
    run = rig.run_pipeline(f"bench-{number}")
    rig.take_latencies()
    return {"state": run["state"], "message": run["message"], "seconds": round(time.monotonic() - began, 1)}


def _go_on(rig: Rig, *, until: Any, limit_seconds: float) -> None:
    pause, deadline = threading.Event(), time.monotonic() + limit_seconds
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit_seconds:g} s in vain; {_taken_in(rig)} events were taken in")
        pause.wait(0.5)
        rig.take_latencies()


def _taken_in(rig: Rig) -> int:
    count: Any = rig.client.get(layout.EVENTS)
    return int(count or 0)


def _latencies(name: str, seconds: Sequence[float]) -> dict[str, float | int | None]:
    ascending = sorted(seconds)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    figures: dict[str, float | int | None] = {f"{name}_count": len(ascending)}
    for label, share in shares.items():
        value = percentile(ascending, share)
        figures[f"{name}_{label}_seconds"] = None if value is None else round(value, 4)
    return figures


def _generator(course: Course, rig: Rig, folder: Path) -> Program:
    command = [sys.executable, "-m", "millrace_recommender.activity", f"--topic={TOPIC}"]
    command += [f"--rate={course.events_per_second}", f"--seconds={course.ends_after}"]
    return Program(command, {"MILLRACE_KAFKA_BOOTSTRAP_SERVERS": rig.kafka}, folder / "generator.log")


def _written(log: Path) -> int:
    last = log.read_text().splitlines()[-1]
    if not last.endswith("all confirmed"):
        raise RuntimeError(f"the generator failed: {last}")
    return int(last.split(" ")[0])


def _stream() -> dict[str, Any]:
    return {
        "name": "activity",
        "topic": TOPIC,
        "group": "recommender",
        "task": "recommender.update",
        "queue": QUEUE,
        "batchRecords": 100,
        "lingerMilliseconds": 200,
        "required": ["user", "item", "kind"],
        "createTopics": {"enabled": True, "partitions": 3},
    }


def _pipelines(folder: Path, triton_url: str) -> Path:
    functions = "millrace_recommender.pipeline"
    pipeline = {
        "name": layout.MODEL,
        "model": layout.MODEL,
        "queue": TRAINING_QUEUE,
        "preprocess": {"function": f"{functions}.preprocess", "shards": f"{functions}.list_shards"},
        "train": {"function": f"{functions}.train"},
        "evaluate": {"function": f"{functions}.evaluate", "metric": "hit_rate"},
        "publish": {"repository": "claim:recommender/models", "tritons": {"urls": [triton_url]}},
        "artifacts": "claim:recommender/artifacts",
        "parameters": {"halfLifeSeconds": 120, "heldOutPerUser": 3},
    }
    file = folder / "pipelines.json"
    file.write_text(json.dumps([pipeline]))
    return file


def main() -> int:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    parser.add_argument("--train-after", type=float, nargs="*", default=[40.0, 160.0, 280.0], metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=400.0)
    parser.add_argument("--picture", type=Path, help="where to draw how hits went on")
    arguments = parser.parse_args()
    course = Course(events_per_second=arguments.rate, train_after=arguments.train_after, ends_after=arguments.seconds)
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        figures = measure(course, Path(folder))
    arguments.report.write_text(json.dumps(figures, indent=2) + "\n")
    if arguments.picture:
        draw(figures["course"], arguments.picture)
    print(json.dumps(figures, indent=2))  # noqa: T201 - the report is for the terminal
    return 0


if __name__ == "__main__":
    sys.exit(main())
