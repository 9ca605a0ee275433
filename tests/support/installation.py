"""The platform under test: installed once, in a namespace and release of its own, beside what else the cluster runs.

Everything here goes the ways that users have (kubectl, helm, the pods' own tools); no product code runs in the tests.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import web
from claims import LOADER, data_claim_manifests, put_folder
from commands import PROJECT_ROOT, run
from helm import Release
from kubectl import Kubectl, Resource
from waiters import wait_until

NAMESPACE: Final = "millrace-e2e"
RELEASE: Final = "millrace-e2e"
KEEP_VARIABLE: Final = "MILLRACE_E2E_KEEP"
"""Set to 1, an installation is found again and left in place: for the inner loop of whoever writes these tests."""

# Pod Security "restricted" makes the API server itself refuse every pod that could run as root.
NAMESPACE_MANIFEST: Final[Resource] = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
}


@dataclass(frozen=True)
class Platform:
    """An installed release and how to look into it."""

    kubectl: Kubectl
    release: Release

    def pool(self, name: str) -> Resource:
        """Answer a WorkerPool."""
        return self.kubectl.require("workerpools.millrace.dev", name)

    def deployment_name(self, pool: str) -> str:
        """Answer the Deployment that a pool scales."""
        return str(self.pool(pool)["spec"]["workloadRef"]["name"])

    def replicas(self, pool: str) -> int:
        """Answer the replicas that the Deployment of a pool is to have."""
        return int(self.kubectl.require("deployment", self.deployment_name(pool))["spec"]["replicas"])

    def pods(self, pool: str) -> list[Resource]:
        """Answer the pods of a pool that are not on their way out."""
        selector = self.kubectl.require("deployment", self.deployment_name(pool))["spec"]["selector"]["matchLabels"]
        listed = self.kubectl.list("pods", selector=",".join(f"{key}={value}" for key, value in selector.items()))
        return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]

    def component(self, name: str, *, kind: str = "pods") -> list[Resource]:
        """Answer the objects of a component ("rabbitmq", "operator") of this release."""
        return self.kubectl.list(
            kind, selector=f"app.kubernetes.io/instance={self.release.name},app.kubernetes.io/component={name}"
        )

    def wait_for_pool_at(self, replicas: int, *, pool: str = "digits", timeout_seconds: float = 120.0) -> None:
        """Wait until the Deployment of a pool has exactly so many replicas, and no other pod."""
        wait_until(
            lambda: self.replicas(pool) == replicas and len(self.pods(pool)) == replicas,
            what=f"pool {pool} to have {replicas} replicas",
            timeout_seconds=timeout_seconds,
            interval_seconds=0.5,
            explain=lambda: self.kubectl.explain("describe", "workerpools.millrace.dev", pool),
        )

    def in_worker(self, program: str) -> Any:
        """Run a Python program in a worker of the system pool, which has the connections; answers its JSON."""
        return json.loads(self.kubectl.python(f"deployment/{self.deployment_name('system')}", program))

    def queue_length(self, queue: str) -> int:
        """Answer how many messages wait in a queue, asked of the broker itself."""
        return int(
            self.in_worker(f"""
import os, kombu
with kombu.Connection(os.environ["MILLRACE_BROKER_URL"]) as broker:
    print(broker.default_channel.queue_declare({queue!r}, passive=True).message_count)
""")
        )

    def redelivered(self, queue: str) -> int:
        """Answer how many messages the broker has given out again, because a worker left without an answer."""
        (service,) = self.component("rabbitmq", kind="statefulset")
        with self.kubectl.port_forward(f"statefulset/{service['metadata']['name']}", 15692) as url:
            answer = web.get(f"{url}/metrics/detailed?family=queue_delivery_metrics&vhost=millrace")
        name = "rabbitmq_detailed_queue_messages_redelivered_total"
        assert f"# TYPE {name} counter" in answer.body, f"RabbitMQ's metrics have no {name}: {answer.body[:300]}"
        found = re.search(rf'^{name}{{.*queue="{re.escape(queue)}"}} (\d+)', answer.body, re.MULTILINE)
        # A queue has no sample before its first delivery.
        return int(found.group(1)) if found else 0

    def publish_raw(self, queue: str, body: bytes) -> None:
        """Put any bytes into a queue, as a foreign program may."""
        self.in_worker(f"""
import os, kombu
with kombu.Connection(os.environ["MILLRACE_BROKER_URL"], transport_options={{"confirm_publish": True}}) as broker:
    broker.Producer().publish({body!r}, exchange="millrace", routing_key={queue!r},
                              content_type="application/json", content_encoding="utf-8", delivery_mode=2)
print("null")
""")

    def redis(self, *command: str) -> Any:
        """Run one Redis command."""
        return self.in_worker(f"""
import json, os, redis
client = redis.Redis.from_url(os.environ["MILLRACE_REDIS_URL"], decode_responses=True)
print(json.dumps(client.execute_command(*{command!r})))
""")

    @contextmanager
    def gateway(self) -> Iterator[httpx.Client]:
        """Open the gateway's Service on this machine; answers a client with the key that may predict."""
        name = f"{self.release.name}-gateway"
        key = self.secret(name, "predict-api-key")
        with (
            self.kubectl.port_forward(f"service/{name}", 8000) as url,
            httpx.Client(base_url=url, headers={"X-API-Key": key}, timeout=70) as client,
        ):
            yield client

    def secret(self, name: str, key: str) -> str:
        """Answer a value of a Secret, as the printed commands for credentials do."""
        template = "--output=go-template={{index .data " + f'"{key}"' + " | base64decode}}"
        return self.kubectl.run("get", "secret", name, template)

    def describe(self) -> str:
        """Answer what a person would look at first when something is wrong."""
        show = self.kubectl.explain
        operator = show("logs", "--selector=app.kubernetes.io/component=operator", "--tail=40", "--prefix=false")
        return "\n\n".join(
            [
                show("get", "pods,wpool,mver", "--output=wide"),
                # Those that have ended fill pages, and have been looked at.
                show("get", "pjob", "--field-selector=status.state!=Succeeded,status.state!=Failed", "--output=wide"),
                show("describe", "workerpools.millrace.dev", "digits"),
                "Last Events:\n" + "\n".join(show("get", "events", "--sort-by=.lastTimestamp").splitlines()[-30:]),
                "Operator:\n" + operator,
            ]
        )


@contextmanager
def installed(claim_content: Path) -> Iterator[Platform]:
    """Install the platform beside a claim with this content, and remove it and its namespace at the end."""
    platform = Platform(
        kubectl=Kubectl(NAMESPACE),
        release=Release(
            name=RELEASE,
            namespace=NAMESPACE,
            chart=PROJECT_ROOT / "charts" / "millrace",
            values=(PROJECT_ROOT / "local" / "values.yaml", PROJECT_ROOT / "tests" / "e2e" / "values.yaml"),
        ),
    )
    keep = os.environ.get(KEEP_VARIABLE) == "1"
    if not (keep and platform.release.exists()):
        remove(platform)
        platform.kubectl.apply(NAMESPACE_MANIFEST)
        platform.kubectl.apply(*data_claim_manifests())
        platform.kubectl.run("wait", "--for=condition=Ready", f"pod/{LOADER}", "--timeout=90s", timeout_seconds=100)
        put_folder(platform.kubectl, claim_content)
        update_definitions(platform.kubectl)
        platform.release.install_or_upgrade()
    try:
        yield platform
    finally:
        if not keep:
            remove(platform)


def update_definitions(kubectl: Kubectl) -> None:
    """Bring resource definitions that a release of another version left up to date, as the chart's notes say."""
    if run("kubectl", "get", "crd", "predictionjobs.millrace.dev", "--ignore-not-found", "--output=name").strip():
        crds = PROJECT_ROOT / "manifests" / "crds"
        kubectl.run("apply", "--server-side", "--force-conflicts", "--field-manager=helm", f"--filename={crds}")


def remove(platform: Platform) -> None:
    """Remove the release and its namespace; a namespace that cannot end is a failure of the product."""
    if not namespace_exists():
        return
    platform.release.uninstall()
    run("kubectl", "delete", "namespace", NAMESPACE, "--timeout=120s", "--ignore-not-found", timeout_seconds=150)
    assert not namespace_exists(), f"the namespace {NAMESPACE} does not end"


def namespace_exists() -> bool:
    """Say whether the namespace of the tests is there."""
    return bool(run("kubectl", "get", "namespace", NAMESPACE, "--ignore-not-found", "--output=name").strip())
