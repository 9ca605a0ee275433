"""What `helm upgrade` must leave alone. Needs the cluster: only there does Helm know what was before."""

from collections.abc import Iterator
from typing import Any

import pytest
from commands import PROJECT_ROOT, run
from kubectl import Kubectl

pytestmark = [pytest.mark.charts, pytest.mark.e2e]

NAMESPACE = "millrace-charts"
OFF = "enabled=false"
# Objects suffice; nothing is waited for, so nothing needs to run.
SMALL = [f"--set=operator.{OFF},flower.{OFF},beat.{OFF},prometheus.{OFF}", "--set=workerPools[0].name=p"]


@pytest.fixture
def kubectl() -> Iterator[Kubectl]:
    run("kubectl", "create", "namespace", NAMESPACE, timeout_seconds=30)
    yield Kubectl(NAMESPACE)
    run("helm", "--namespace", NAMESPACE, "uninstall", "r", "--ignore-not-found", timeout_seconds=60)
    run("kubectl", "delete", "namespace", NAMESPACE, "--timeout=100s", timeout_seconds=120)


def _upgrade(*flags: str) -> None:
    chart = str(PROJECT_ROOT / "charts" / "millrace")
    run("helm", "--namespace", NAMESPACE, "upgrade", "--install", "r", chart, *SMALL, *flags, timeout_seconds=60)


def _replicas(kubectl: Kubectl) -> int:
    return int(kubectl.require("deployment", "r-worker-p")["spec"]["replicas"])


def _templates(kubectl: Kubectl) -> dict[str, Any]:
    kinds = ("deployment", "statefulset")
    return {w["metadata"]["name"]: w["spec"]["template"] for kind in kinds for w in kubectl.list(kind)}


def _secrets(kubectl: Kubectl) -> dict[str, Any]:
    return {s["metadata"]["name"]: s["data"] for s in kubectl.list("secrets", selector="app.kubernetes.io/instance=r")}


def test_upgrade_without_a_change_keeps_passwords_and_rolls_no_pod(kubectl: Kubectl) -> None:
    _upgrade()
    secrets, templates = _secrets(kubectl), _templates(kubectl)
    assert {"r-rabbitmq", "r-redis", "r-connections"} == secrets.keys()

    _upgrade()

    assert secrets == _secrets(kubectl)
    assert templates == _templates(kubectl)


@pytest.mark.parametrize("way", ["--server-side=true", "--server-side=false"])
def test_upgrade_leaves_replicas_to_the_operator(kubectl: Kubectl, way: str) -> None:
    _upgrade(way)
    assert 0 == _replicas(kubectl)
    # As the operator does, through the scale subresource; the models' pods need not start.
    kubectl.run("scale", "deployment/r-worker-p", "--replicas=2")

    for round_number in range(2):
        _upgrade(way, f"--set=commonLabels.round=r{round_number}")

        assert 2 == _replicas(kubectl)


def test_upgrade_before_the_first_scaling_keeps_the_least_replicas(kubectl: Kubectl) -> None:
    _upgrade()

    _upgrade("--set=commonLabels.round=r1")

    assert 0 == _replicas(kubectl)
