"""Whatever stops in the middle of a job, the job ends with exact counts and every key once.

Each test disturbs a job that works, shows that it was disturbed in its middle, and leaves the platform whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from claims import CLAIM
from commands import run
from installation import Platform
from kubectl import Resource
from prediction_jobs import (
    KIND,
    assert_complete,
    describe,
    ended,
    inline,
    job,
    outcome,
    records,
    slow_job,
    slow_keys,
    submit,
    wait_for_end,
    wait_until_it_says,
    wait_until_working,
    why_not_running,
)
from waiters import wait_until

NODE = "millrace-control-plane"


def _assert_still_working(platform: Platform, name: str) -> None:
    found = platform.kubectl.require(KIND, name)
    assert not ended(found), "the job ended before it was disturbed: give it more records"


def _condition_is(resource: Resource, kind: str, status: str) -> bool:
    conditions = resource.get("status", {}).get("conditions", [])
    return any(entry["type"] == kind and entry["status"] == status for entry in conditions)


def _wait_for_component(platform: Platform, name: str) -> None:
    def all_ready() -> bool:
        pods = platform.component(name)
        leaving = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        return bool(pods) and not leaving and all(_condition_is(pod, "Ready", "True") for pod in pods)

    wait_until(
        all_ready,
        what=f"all pods of {name} to be ready again",
        timeout_seconds=120,
        interval_seconds=0.5,
        explain=platform.describe,
    )


@pytest.fixture(autouse=True)
def whole_again(platform: Platform) -> Iterator[None]:
    """Wait after each test until every component works again by itself."""
    yield
    for component in ("operator", "rabbitmq", "redis", "flower", "beat", "prometheus", "gateway", "ingest"):
        _wait_for_component(platform, component)


@contextmanager
def _stopped(platform: Platform, component: str) -> Iterator[None]:
    """Take a server away, with its volume kept, and bring it back."""
    (server,) = platform.component(component, kind="statefulset")
    target = f"statefulset/{server['metadata']['name']}"
    platform.kubectl.run("scale", target, "--replicas=0")
    try:
        wait_until(lambda: not platform.component(component), what=f"{component} to be gone", timeout_seconds=180)
        yield
    finally:
        platform.kubectl.run("scale", target, "--replicas=1")
        _wait_for_component(platform, component)


def test_a_job_survives_the_death_of_the_operator(platform: Platform) -> None:
    name = submit(platform, slow_job("without-operator", records=80, seconds_each=0.5))
    wait_until_working(platform, name)
    (operator,) = platform.component("operator")

    platform.kubectl.delete("pod", operator["metadata"]["name"], "--grace-period=0", "--force")
    _assert_still_working(platform, name)
    found = wait_for_end(platform, name)

    assert_complete(platform, found, slow_keys(80))
    assert operator["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in platform.component("operator")}


def test_a_worker_killed_in_mid_shard_loses_no_record_and_counts_none_twice(platform: Platform) -> None:
    # Two tasks for the two slots of one pod, on an empty pool: whichever pod there is holds the whole job.
    platform.wait_for_pool_at(0)
    before = platform.redelivered("digits")
    name = submit(platform, slow_job("without-worker", records=20, seconds_each=0.8, records_per_task=10))
    wait_until(
        lambda: records(platform.kubectl.require(KIND, name)).get("inFlight") == 20,
        what="one pod to hold all records",
        explain=lambda: describe(platform, name),
    )
    (victim,) = platform.pods("digits")

    platform.kubectl.delete("pod", victim["metadata"]["name"], "--grace-period=0", "--force")
    assert 0 == records(platform.kubectl.require(KIND, name))["succeeded"]
    found = wait_for_end(platform, name)

    assert_complete(platform, found, slow_keys(20))
    assert platform.redelivered("digits") >= before + 2


def test_a_job_waits_for_triton_that_was_killed_and_resumes(platform: Platform) -> None:
    name = submit(platform, slow_job("without-triton", records=60, seconds_each=0.5))
    wait_until_working(platform, name)

    for pod in platform.pods("digits"):
        _kill_container(pod, "triton")
    _assert_still_working(platform, name)
    found = wait_for_end(platform, name)

    assert_complete(platform, found, slow_keys(60))


def _kill_container(pod: Resource, name: str) -> None:
    """Send SIGKILL to the first process of a container, from the node: from inside it cannot be killed."""
    statuses: list[dict[str, Any]] = pod["status"].get("initContainerStatuses", [])
    statuses = statuses + pod["status"].get("containerStatuses", [])
    (container_id,) = [
        status["containerID"].removeprefix("containerd://") for status in statuses if status["name"] == name
    ]
    run("docker", "exec", NODE, "ctr", "--namespace", "k8s.io", "task", "kill", "--signal", "SIGKILL", container_id)


def test_without_rabbitmq_a_job_says_so_the_pool_holds_and_then_all_goes_on(platform: Platform) -> None:
    name = submit(platform, slow_job("without-rabbitmq", records=80, seconds_each=0.5))
    wait_until_working(platform, name)
    replicas = platform.replicas("digits")

    with _stopped(platform, "rabbitmq"):
        _assert_still_working(platform, name)
        pool = _wait_for_unknown_queue(platform)
        assert replicas == platform.replicas("digits")
        assert "queue" not in pool["status"] or pool["status"]["queue"] is None
    found = wait_for_end(platform, name)

    assert_complete(platform, found, slow_keys(80))


def _wait_for_unknown_queue(platform: Platform) -> Resource:
    def look() -> Resource | None:
        pool = platform.pool("digits")
        return pool if _condition_is(pool, "MetricsAvailable", "False") else None

    return wait_until(look, what="the pool to say that its queue cannot be read", timeout_seconds=90)


@pytest.mark.parametrize(("server", "word"), [("rabbitmq", "broker"), ("redis", "ledger")])
def test_an_operator_that_starts_without_a_server_says_so_and_submits_when_it_is_back(
    platform: Platform, server: str, word: str
) -> None:
    with _stopped(platform, server):
        (operator,) = platform.component("operator")
        platform.kubectl.delete("pod", operator["metadata"]["name"])
        name = submit(platform, job(f"before-{server}", inline({"key": "a", "seconds": [0]}), model="slow"))
        wait_until_it_says(platform, name, word, "unreachable")
    found = wait_for_end(platform, name)

    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)


def test_without_redis_a_job_says_so_and_then_goes_on_with_exact_counts(platform: Platform) -> None:
    name = submit(platform, slow_job("without-redis", records=80, seconds_each=0.5))
    wait_until_working(platform, name)

    with _stopped(platform, "redis"):
        wait_until_it_says(platform, name, "ledger", "unreachable")
    found = wait_for_end(platform, name)

    assert_complete(platform, found, slow_keys(80))


@pytest.fixture
def late_triton(platform: Platform) -> Iterator[None]:
    """Remove the Triton that the test brings up."""
    yield
    platform.kubectl.delete("service", "late-triton")
    platform.kubectl.delete("pod", "late-triton")


@pytest.mark.usefixtures("late_triton")
def test_a_job_whose_triton_is_not_there_yet_says_so_and_runs_when_it_comes(platform: Platform) -> None:
    source = inline(*({"key": f"record-{number}", "seconds": [0]} for number in range(4)))
    name = submit(platform, job("before-triton", source, model="slow", pool="remote"))

    waiting = wait_until_it_says(platform, name, "Triton", "late-triton:8001")
    platform.kubectl.apply(*_triton_manifests("late-triton"))
    found = wait_for_end(platform, name)

    assert 0 == records(waiting)["failed"]
    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)
    assert 4 == records(found)["succeeded"]


def _triton_manifests(name: str) -> tuple[Resource, Resource]:
    labels = {"app": name}
    container = {
        "name": "triton",
        "image": "millrace/triton:dev",
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 8001}],
        "readinessProbe": {"httpGet": {"path": "/v2/health/ready", "port": 8000}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "claim", "mountPath": "/models", "subPath": "models"}],
    }
    pod: Resource = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": CLAIM}}],
        },
    }
    service: Resource = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"port": 8001}]},
    }
    return pod, service
