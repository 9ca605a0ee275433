"""Rendering the charts with the real helm, once per set of values."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
CHARTS = REPOSITORY / "charts"
LOCAL_VALUES = REPOSITORY / "local" / "values.yaml"

Manifest = dict[str, Any]
Values = dict[str, Any]


def helm() -> str:
    """Find the helm of the project, else the one on PATH; without one the charts cannot be tested."""
    own = REPOSITORY / ".local" / "bin" / "helm"
    found = str(own) if own.exists() else shutil.which("helm")
    if found is None:
        pytest.fail("helm is neither in .local/bin nor on PATH: run `make cluster` or install it")
    return found


@cache
def _template(chart: str, values_json: str, *, local: bool) -> subprocess.CompletedProcess[str]:
    files = ["--values", str(LOCAL_VALUES)] if local else []
    command = [helm(), "template", "r", str(CHARTS / chart), "--namespace", "n", *files, "--values", "-"]
    # No kubeconfig: a chart must render without a cluster.
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    return subprocess.run(command, input=values_json, capture_output=True, text=True, check=False, env=environment)


def render(values: Values | None = None, *, chart: str = "millrace", local: bool = False) -> list[Manifest]:
    """Render the release `r` in the namespace `n` and return its objects, hooks included."""
    result = _template(chart, json.dumps(values or {}, sort_keys=True), local=local)
    assert 0 == result.returncode, result.stderr
    # The loader in C, where PyYAML has it: the one in Python takes longer than helm.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [manifest for manifest in yaml.load_all(result.stdout, Loader=loader) if manifest]


def refusal(values: Values, *, chart: str = "millrace") -> str:
    """Return what helm says when it refuses the values; fails if it accepts them."""
    result = _template(chart, json.dumps(values, sort_keys=True), local=False)
    assert 0 != result.returncode, f"accepted: {values}"
    return result.stderr


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the one object of this kind and name."""
    matches = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    assert 1 == len(matches), f"{kind} {name}: {[(m['kind'], m['metadata']['name']) for m in manifests]}"
    return matches[0]


def pod_specs(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield each pod's spec with a name to show."""
    for manifest in manifests:
        label = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] in {"Deployment", "StatefulSet"}:
            yield label, manifest["spec"]["template"]["spec"]
        elif manifest["kind"] == "Pod":
            yield label, manifest["spec"]


def containers(spec: Manifest) -> list[Manifest]:
    """Return all containers of a pod, the init containers first."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def env(container: Manifest) -> dict[str, Any]:
    """Return a container's environment by name: the literal value, or the reference."""
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container.get("env", [])}


def digits_pool(**overrides: object) -> Values:
    """Values with one pool that has a Triton beside each worker."""
    pool: Values = {"name": "digits", "triton": {"mode": "sidecar", "modelRepository": {"uri": "s3://models"}}}
    return {"workerPools": [pool | overrides]}


ALL_VARIANTS: dict[str, Callable[[], list[Manifest]]] = {
    "defaults": render,
    "local values": lambda: render(local=True),
    "shared Triton": lambda: render(
        digits_pool(
            gpu={"count": 1},
            podDisruptionBudget={"maxUnavailable": 1},
            triton={"mode": "service", "modelRepository": {"configMap": {"name": "models"}}},
        )
    ),
    "external servers": lambda: render(
        {
            "rabbitmq": {"enabled": False},
            "externalBroker": {"existingSecret": "my-broker"},
            "redis": {"enabled": False},
            "externalRedis": {"existingSecret": "my-redis"},
            "operator": {
                "connections": {"existingSecret": "my-operator", "brokerMetricsUrls": ["http://broker:15692"]},
            },
        }
    ),
    "external Kafka and cache": lambda: render(
        {
            "externalKafka": {
                "bootstrapServers": "a.example:9094,b.example:9094",
                "securityProtocol": "SASL_SSL",
                "existingSecret": "my-kafka",
                "caSecret": "my-authority",
            },
            "streams": [{"name": "s", "topic": "t", "task": "a.b", "queue": "system"}],
            "gateway": {"enabled": True, "auth": {"mode": "oidc", "oidc": {"issuer": "https://id", "audience": "a"}}},
            "cache": {"enabled": False},
            "externalCache": {"existingSecret": "my-cache"},
        }
    ),
    "Celery on Redis": lambda: render(
        {
            "broker": {"kind": "redis"},
            "rabbitmq": {"enabled": False},
            "resultBackend": {"kind": "postgresql", "existingSecret": "my-results", "ports": [5432]},
            "operator": {"connections": {"brokerKind": "redis"}},
        }
    ),
    "object store, web and notifications": lambda: render(
        {
            "objectStore": {"endpointUrl": "http://s3.example:9000", "existingSecret": "my-store", "ports": [9000]},
            "httpInputs": {"ports": [443]},
            "notifications": {"existingSecret": "my-webhooks", "ports": [8443]},
        }
    ),
    "operator alone": lambda: render(chart="millrace-operator"),
}
