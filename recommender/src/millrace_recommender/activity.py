"""Generate what users do and write it to Kafka, keyed by user: `python -m millrace_recommender.activity --help`.

These are no real people's events. The model that they are drawn from stands, with its formula, in `behaviour`.
Kafka is found by the environment: MILLRACE_KAFKA_BOOTSTRAP_SERVERS and, where it needs them, the other Kafka settings.
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from millrace_recommender.behaviour import Activity, Behaviour, World
from millrace_recommender.errors import ActivityFailed
from millrace_worker.clock import seconds_since_epoch
from millrace_worker.errors import SettingsInvalid
from millrace_worker.kafka_settings import read_kafka_settings

TOPIC_LIMIT_SECONDS: Final = 120.0
FLUSH_LIMIT_SECONDS: Final = 30.0
REPORT_SECONDS: Final = 10.0


class ActivityStream:
    """Writes events to a topic, each confirmed by Kafka in the end."""

    def __init__(self, configuration: dict[str, Any], topic: str) -> None:
        self._topic = topic
        self._failure: Exception | None = None
        self._producer = Producer({**configuration, "acks": "all", "enable.idempotence": True, "linger.ms": 5})

    def wait_for_topic(self, stopping: threading.Event) -> None:
        """Wait until the topic exists: whoever consumes it may make it just now."""
        deadline = time.monotonic() + TOPIC_LIMIT_SECONDS
        while not self._topic_exists():
            if time.monotonic() > deadline or stopping.is_set():
                raise ActivityFailed(f"Kafka has no topic {self._topic}; create it, or let the stream do so")
            stopping.wait(1.0)

    def write(self, activity: Activity, *, at: float) -> None:
        """Hand an event to the producer; raise ActivityFailed if Kafka has refused an earlier one."""
        user = f"u{activity.user}"
        value = {"user": user, "item": activity.item, "kind": activity.kind, "at": round(at, 3)}
        self._producer.produce(
            self._topic,
            key=user,
            value=json.dumps(value),
            timestamp=int(at * 1000),
            on_delivery=self._delivered,
        )
        self._producer.poll(0)
        if self._failure is not None:
            raise ActivityFailed(f"Kafka did not take an event: {self._failure}") from self._failure

    def flush(self) -> None:
        """Wait until Kafka has all events."""
        left = self._producer.flush(FLUSH_LIMIT_SECONDS)
        if left or self._failure is not None:
            raise ActivityFailed(f"Kafka did not confirm {left} events: {self._failure or 'no answer'}")

    def _topic_exists(self) -> bool:
        try:
            topic = self._producer.list_topics(self._topic, timeout=10).topics[self._topic]
        except KafkaException as error:
            raise ActivityFailed(f"Kafka does not answer: {error}") from error
        return topic.error is None

    def _delivered(self, error: Any, message: Any) -> None:
        del message
        if error is not None:
            self._failure = KafkaException(error)


def paced(world: World, *, stopping: threading.Event, limit_seconds: float) -> Iterator[tuple[Activity, float]]:
    """Answer events with their times of day when each is due; 0 seconds goes on until `stopping`."""
    began, began_at = time.monotonic(), seconds_since_epoch()
    for activity in world.events():
        if limit_seconds and activity.at > limit_seconds:
            return
        early = activity.at - (time.monotonic() - began)
        if early > 0 and stopping.wait(early):
            return
        # Events that fell behind are written at once, with the time that it is then.
        yield activity, began_at + max(activity.at, time.monotonic() - began)


def generate(stream: ActivityStream, world: World, *, stopping: threading.Event, limit_seconds: float) -> int:
    """Write events until time is up or somebody stops it; answers how many."""
    stream.wait_for_topic(stopping)
    written, told = 0, time.monotonic()
    for activity, at in paced(world, stopping=stopping, limit_seconds=limit_seconds):
        stream.write(activity, at=at)
        written += 1
        if time.monotonic() - told >= REPORT_SECONDS:
            told = time.monotonic()
            sys.stdout.write(f"{written} events written\n")
            sys.stdout.flush()
    stream.flush()
    return written


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m millrace_recommender.activity",
        description="Write generated views and purchases to Kafka; the module behaviour has the model behind them.",
    )
    default = Behaviour()
    parser.add_argument("--topic", default="activity")
    parser.add_argument("--rate", type=float, default=default.events_per_second, help="events a second")
    parser.add_argument("--users", type=int, default=default.users)
    parser.add_argument("--items", type=int, default=default.items)
    parser.add_argument("--drift", type=float, default=default.drift_per_hour, help="of all tastes, an hour; 0 is none")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long; 0 goes on until it is stopped")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same events")
    return parser.parse_args()


def main() -> int:
    """Generate until time is up or SIGTERM comes, and answer the exit status."""
    arguments = _arguments()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    behaviour = Behaviour(
        users=arguments.users, items=arguments.items, events_per_second=arguments.rate, drift_per_hour=arguments.drift
    )
    try:
        stream = ActivityStream(read_kafka_settings().client_config(), arguments.topic)
        world = World(behaviour, seed=arguments.seed)
        written = generate(stream, world, stopping=stopping, limit_seconds=arguments.seconds)
    except (ActivityFailed, SettingsInvalid) as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1
    sys.stdout.write(f"{written} events written, all confirmed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
