"""Each server of the loop is stopped for a minute under load: what was taken in is done once, without a hand.

Events go into Kafka all the time and through a bridge to a task that counts each; callers ask the gateway all the time
for predictions that they read later. "Taken in" is what Kafka or the gateway confirmed: a caller who is told 503 knows
that nothing happened.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import redis as redis_client
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from millrace_loadtest.pipeline import counted_events, servers
from millrace_loadtest.pipeline.servers import Program, Server, conditions, free_port, wait_for

TOPIC: Final = "outages"
PARTITIONS: Final = 2
EVENT_QUEUE: Final = "outage-events"
PREDICT_QUEUE: Final = "outage-predictions"
EVENTS_PER_SECOND: Final = 100
CALLS_PER_SECOND: Final = 10
CALM_SECONDS: Final = 20.0
RECOVERY_LIMIT_SECONDS: Final = 180.0
MODELS: Final = Path(__file__).parents[4] / "loadtest/scenarios/pipeline/models"


@dataclass
class Taken:
    """What was confirmed to whoever sent it."""

    events: set[str] = field(default_factory=set)
    """"partition:offset" of each."""
    predictions: dict[str, float] = field(default_factory=dict)
    """Id -> the number that was sent."""
    refused: dict[str, int] = field(default_factory=dict)
    """Calls that were not taken, by what the caller was told."""

    def note_delivery(self, error: object, message: Any) -> None:
        """Note what Kafka says of one event; one that Kafka did not take is not in."""
        if error is None:
            self.events.add(f"{message.partition()}:{message.offset()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What is running."""

    client: redis_client.Redis
    bootstrap_servers: str
    gateway_url: str
    stoppable: Mapping[str, Server]


def produce(rig: Rig, taken: Taken, stopping: threading.Event) -> None:
    """Send events at a steady rate; librdkafka keeps what Kafka cannot take yet."""
    producer = Producer(
        {
            "bootstrap.servers": rig.bootstrap_servers,
            "enable.idempotence": True,
            "message.timeout.ms": 300_000,
            "linger.ms": 5,
            # That Kafka is away is what is played.
            "log_level": 2,
        }
    )
    number = 0
    while not stopping.wait(1 / EVENTS_PER_SECOND):
        number += 1
        value = json.dumps({"number": number})
        producer.produce(TOPIC, value=value, key=str(number), on_delivery=taken.note_delivery)
        producer.poll(0)
    producer.flush(60)


def call(rig: Rig, taken: Taken, stopping: threading.Event) -> None:
    """Ask for predictions at a steady rate, without waiting for the answers."""
    number = 0.0
    with httpx.Client(base_url=rig.gateway_url, timeout=30, trust_env=False) as client:
        while not stopping.wait(1 / CALLS_PER_SECOND):
            number += 1
            try:
                answer = client.post("/v1/models/double/predictions", json={"inputs": {"x": [number, 0, 0, 0]}})
            except httpx.HTTPError as error:
                told = type(error).__name__
            else:
                told = str(answer.status_code)
                if answer.status_code in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
                    taken.predictions[answer.json()["predictions"][0]["id"]] = number
                    continue
            taken.refused[told] = taken.refused.get(told, 0) + 1


def behind(rig: Rig, taken: Taken) -> int:
    """Count the events that were taken and are not done yet; Redis that is away knows nothing."""
    try:
        seen = counted_events.counted(rig.client, TOPIC)
    except redis_client.RedisError:
        return len(taken.events)
    return counted_events.lost(set(taken.events), seen)


def stop_each(rig: Rig, taken: Taken, *, outage_seconds: float) -> dict[str, float]:
    """Stop one server after the other; answers how long after its return everything taken until then was done."""
    pause, recovery = threading.Event(), {}
    for name, server in rig.stoppable.items():
        pause.wait(CALM_SECONDS)
        say(f"{name} is away for {outage_seconds:g} s")
        server.stop()
        pause.wait(outage_seconds)
        server.start()
        began = time.monotonic()
        until_now = Taken(events=set(taken.events))
        wait_for(
            lambda known=until_now: behind(rig, known) == 0,  # type: ignore[misc] # the default keeps this round's
            what=f"the events before {name}'s return",
            limit_seconds=RECOVERY_LIMIT_SECONDS,
        )
        recovery[name] = round(time.monotonic() - began, 1)
        say(f"{name}: all that was taken until its return is done {recovery[name]} s after it")
    pause.wait(CALM_SECONDS)
    return recovery


def unanswered(rig: Rig, predictions: Mapping[str, float]) -> list[str]:
    """Answer the predictions that have no right answer."""
    wrong = []
    with httpx.Client(base_url=rig.gateway_url, timeout=30, trust_env=False) as client:
        for prediction, number in predictions.items():
            answer = client.get(f"/v1/predictions/{prediction}")
            outputs = answer.json().get("outputs") if answer.status_code == HTTPStatus.OK else None
            if not outputs or outputs["y"][0] != 2 * number:
                wrong.append(prediction)
    return wrong


def measure(*, outage_seconds: float) -> dict[str, Any]:
    """Run the load through all outages, and count what is missing at the end."""
    figures: dict[str, Any] = {"conditions": conditions(), "outage_seconds": outage_seconds}
    taken, stopping = Taken(), threading.Event()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as rig:
        loads = [threading.Thread(target=load, args=(rig, taken, stopping)) for load in (produce, call)]
        for load in loads:
            load.start()
        try:
            figures["recovery_seconds"] = stop_each(rig, taken, outage_seconds=outage_seconds)
        finally:
            stopping.set()
            for load in loads:
                load.join()
        _wait_for_the_rest(lambda: behind(rig, taken) == 0)
        _wait_for_the_rest(lambda: not unanswered(rig, taken.predictions))
        seen = counted_events.counted(rig.client, TOPIC)
        figures |= {
            "events": len(taken.events),
            "lost_events": counted_events.lost(taken.events, seen),
            "doubled_effects": counted_events.doubled(seen),
            "predictions": len(taken.predictions),
            "lost_predictions": len(unanswered(rig, taken.predictions)),
            "calls_refused": taken.refused,
        }
    return figures


def _wait_for_the_rest(is_done: Callable[[], bool]) -> None:
    try:
        wait_for(is_done, what="the rest", limit_seconds=RECOVERY_LIMIT_SECONDS)
    except TimeoutError as error:
        # What is missing is counted below, which says more than an error.
        say(str(error))


@contextmanager
def running(folder: Path) -> Iterator[Rig]:
    """Start servers, two workers, the bridge and the gateway."""
    with ExitStack() as stack:
        rabbitmq = stack.enter_context(servers.rabbitmq(folder / "rabbitmq"))
        redis = stack.enter_context(servers.redis("--appendfsync", "always"))
        kafka = stack.enter_context(servers.kafka(folder / "kafka"))
        triton = stack.enter_context(servers.triton(MODELS))
        _make_topic(kafka.url)
        environment = {"MILLRACE_BROKER_URL": rabbitmq.url, "MILLRACE_REDIS_URL": redis.url}
        environment |= {"MILLRACE_KAFKA_BOOTSTRAP_SERVERS": kafka.url, "MILLRACE_TRITON_URL": triton.url}
        environment |= {"MILLRACE_TASK_MODULES": counted_events.MODULE}
        for queue in (EVENT_QUEUE, PREDICT_QUEUE):
            stack.enter_context(servers.worker(folder / queue, queue=queue, environment=environment, concurrency=1))
        for queue in (EVENT_QUEUE, PREDICT_QUEUE):
            servers.wait_for_worker(folder / queue)
        port = free_port()
        stack.enter_context(servers.bridge(folder / "bridge", stream=_stream(), port=port, environment=environment))
        servers.wait_for_bridge(port)
        gateway = stack.enter_context(_gateway(folder / "gateway", environment))
        url = gateway.environment["URL"]
        wait_for(lambda: servers.status(f"{url}/readyz") == HTTPStatus.OK, what=f"the gateway; see {gateway.log}")
        yield Rig(
            client=redis_client.Redis.from_url(redis.url, decode_responses=True, socket_timeout=5),
            bootstrap_servers=kafka.url,
            gateway_url=url,
            stoppable={"Triton": triton, "Redis": redis, "RabbitMQ": rabbitmq, "Kafka": kafka},
        )


def _make_topic(bootstrap_servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for made in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1), NewTopic(f"{TOPIC}.dead", 1, 1)]).values():
        made.result(30)


def _stream() -> dict[str, Any]:
    stream = {"name": TOPIC, "topic": TOPIC, "group": TOPIC, "task": counted_events.TASK, "queue": EVENT_QUEUE}
    return {**stream, "batchRecords": 100, "lingerMilliseconds": 50}


def _gateway(folder: Path, environment: Mapping[str, str]) -> Program:
    folder.mkdir(parents=True)
    config, port = folder / "gateway.json", free_port()
    models = [{"name": "double", "queue": PREDICT_QUEUE}]
    config.write_text(json.dumps({"models": models, "pools": [PREDICT_QUEUE], "auth": {"mode": "none"}}))
    url = f"http://127.0.0.1:{port}"
    own = {"MILLRACE_GATEWAY_CONFIG_FILE": str(config), "MILLRACE_HOST": "127.0.0.1", "MILLRACE_PORT": str(port)}
    return Program(
        [sys.executable, "-m", "millrace_gateway"], {**environment, **own, "URL": url}, folder / "gateway.log"
    )


def say(text: str) -> None:
    """Tell whoever watches how far it is."""
    print(f"  {text}", flush=True)  # noqa: T201 - progress for the terminal


def main() -> int:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--outage-seconds", type=float, default=60.0)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    figures = measure(outage_seconds=arguments.outage_seconds)
    arguments.report.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))  # noqa: T201 - the report is for the terminal
    return 0


if __name__ == "__main__":
    sys.exit(main())
