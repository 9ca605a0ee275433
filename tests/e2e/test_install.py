"""What one `helm install` brings up, how it is closed, and that installing again changes nothing."""

from typing import Any

import pytest
from installation import Platform
from kubectl import Resource

COMPONENTS = (
    "operator",
    "rabbitmq",
    "redis",
    "kafka",
    "ingest",
    "gateway",
    "cache",
    "flower",
    "beat",
    "prometheus",
)


def _containers(pod: Resource) -> list[dict[str, Any]]:
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def _is_ready(pod: Resource) -> bool:
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in pod["status"]["conditions"])


def _release_pods(platform: Platform) -> list[Resource]:
    listed = platform.kubectl.list("pods", selector=f"app.kubernetes.io/instance={platform.release.name}")
    return [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_runs(platform: Platform, component: str) -> None:
    pods = platform.component(component)

    assert pods
    assert all(_is_ready(pod) for pod in pods)


def test_nothing_had_to_be_restarted_to_come_up(platform: Platform) -> None:
    # All pods start at the same time, so most of them find no RabbitMQ or Redis at first, and wait.
    restarts = {
        f"{pod['metadata']['name']}/{status['name']}": status["restartCount"]
        for pod in _release_pods(platform)
        for status in pod["status"].get("containerStatuses", [])
    }

    assert {} == {name: count for name, count in restarts.items() if count}


def test_the_system_pool_is_ready_and_the_others_have_no_pod(platform: Platform) -> None:
    platform.wait_for_pool_at(0, pool="digits")

    pools = {pool["metadata"]["name"]: pool["status"] for pool in platform.kubectl.list("workerpools.millrace.dev")}

    assert {"digits", "recommender", "remote", "shared", "system"} == set(pools)
    assert "1/1" == pools["system"]["readiness"]
    assert "0/0" == pools["digits"]["readiness"]


def test_no_container_can_be_root_and_every_root_file_system_is_read_only(platform: Platform) -> None:
    # The namespace enforces Pod Security "restricted", so the API server has refused root already; this is the rest.
    pods = _release_pods(platform)

    writable = [
        f"{pod['metadata']['name']}/{container['name']}"
        for pod in pods
        for container in _containers(pod)
        if not container.get("securityContext", {}).get("readOnlyRootFilesystem")
    ]

    assert pods
    assert [] == writable


def test_processes_really_run_as_another_user_than_root(platform: Platform) -> None:
    users = {
        pod["metadata"]["name"]: platform.kubectl.exec(pod["metadata"]["name"], "id", "-u").strip()
        for component in COMPONENTS
        for pod in platform.component(component)
    }

    assert "0" not in users.values(), users


def test_no_password_stands_in_an_argument_or_a_config_map(platform: Platform) -> None:
    secrets = platform.kubectl.list("secrets", selector=f"app.kubernetes.io/instance={platform.release.name}")
    passwords = {
        platform.secret(secret["metadata"]["name"], key)
        for secret in secrets
        for key in secret["data"]
        if "password" in key or "api-key" in key
    }
    shown = [str(_containers(pod)) for pod in _release_pods(platform)]
    shown += [str(config_map.get("data")) for config_map in platform.kubectl.list("configmaps")]

    assert len(passwords) >= 7
    assert [] == [text for text in shown for password in passwords if password in text]


def test_helm_test_carries_one_prediction_through(platform: Platform) -> None:
    said = platform.release.test()

    assert "Succeeded" in said


def test_an_upgrade_with_unchanged_values_changes_no_secret_and_rolls_no_pod(platform: Platform) -> None:
    platform.wait_for_pool_at(0, pool="digits")
    selector = f"app.kubernetes.io/instance={platform.release.name}"

    def seen() -> tuple[dict[str, Any], set[str]]:
        secrets = {
            entry["metadata"]["name"]: entry["data"] for entry in platform.kubectl.list("secrets", selector=selector)
        }
        return secrets, {pod["metadata"]["uid"] for pod in _release_pods(platform)}

    before = seen()
    platform.release.install_or_upgrade()

    assert before == seen()


def test_an_upgrade_leaves_the_replicas_of_a_pool_to_the_operator(platform: Platform) -> None:
    pool = platform.kubectl.require("deployment", platform.deployment_name("digits"))

    assert 0 == pool["spec"]["replicas"]
