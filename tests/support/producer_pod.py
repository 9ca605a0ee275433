"""A pod that writes to the platform's Kafka, as a program of the platform's users does."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from commands import environment
from installation import Platform
from kubectl import Resource

POD: Final = "producer"


@dataclass(frozen=True)
class Producer:
    """Writes events of users to the topic `activity`."""

    platform: Platform

    def write(self, *events: dict[str, Any]) -> None:
        """Write events, each at the time that it is now, and wait until Kafka has them."""
        program = f"""
import json, time
from confluent_kafka import Producer
from millrace_worker.kafka_settings import read_kafka_settings

producer = Producer({{**read_kafka_settings().client_config(), "acks": "all"}})
for event in json.loads({json.dumps(json.dumps(events))}):
    producer.produce("activity", key=event["user"], value=json.dumps(event | {{"at": time.time()}}))
assert producer.flush(30) == 0, "Kafka did not confirm the events"
"""
        self.platform.kubectl.python(POD, program)

    def start(self, *, seconds: float, rate: int = 200) -> "Activity":
        """Let the sample's users be active for so long."""
        options = {"rate": rate, "seconds": seconds, "users": 60, "items": 80}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        generator = ("python", "-m", "millrace_recommender.activity", *arguments)
        return Activity(
            subprocess.Popen(
                ["kubectl", "--namespace", self.platform.kubectl.namespace, "exec", POD, "--", *generator],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
            )
        )


@dataclass(frozen=True)
class Activity:
    """Users who are active."""

    process: subprocess.Popen[str]

    def is_going_on(self) -> bool:
        """Say whether they are not done yet."""
        return self.process.poll() is None

    def confirmed(self, *, timeout_seconds: float = 120) -> int:
        """Wait for their end and answer how many events they wrote, all of which Kafka has confirmed."""
        out, errors = self.process.communicate(timeout=timeout_seconds)
        assert 0 == self.process.returncode, errors
        return int(out.splitlines()[-1].split(" ")[0])


@contextmanager
def producer(platform: Platform) -> Iterator[Producer]:
    """Have the pod while the block runs."""
    kubectl = platform.kubectl
    kubectl.apply(_manifest(platform))
    try:
        kubectl.run("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=60s", timeout_seconds=70)
        yield Producer(platform)
    finally:
        kubectl.delete("pod", POD, "--wait=false")


def _manifest(platform: Platform) -> Resource:
    release = platform.release.name
    kafka = {
        "BOOTSTRAP_SERVERS": f"{release}-kafka:9092",
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_MECHANISM": "PLAIN",
        "SASL_USERNAME": "millrace",
    }
    password = {"valueFrom": {"secretKeyRef": {"name": f"{release}-kafka", "key": "password"}}}
    container = {
        "name": "producer",
        "image": "millrace/recommender:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "env": [
            *({"name": f"MILLRACE_KAFKA_{name}", "value": value} for name, value in kafka.items()),
            {"name": "MILLRACE_KAFKA_SASL_PASSWORD", **password},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    labels = {"instance": release, "part-of": "millrace", "component": "producer"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # The network policy of Kafka lets in whoever has these labels.
        "metadata": {"name": POD, "labels": {f"app.kubernetes.io/{name}": value for name, value in labels.items()}},
        "spec": {
            "automountServiceAccountToken": False,
            # `sleep` as process 1 does not hear SIGTERM.
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }
