"""A Celery Deployment that knows nothing of Millrace is adopted, and no scale-down interrupts any of its tasks.

Its pods have a grace period of 2 s and its tasks take longer, so that each worker that is stopped at work shows: its
task would begin a second time.
"""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import web
from installation import Platform
from kubectl import Resource
from waiters import wait_until

from millrace_contracts.metrics import VICTIMS

NAME: Final = "adopted"
APP: Final = Path(__file__).with_name("adopted_app.py")
MOST: Final = 4
AS_LONG_AS_WANTED: Final = 300.0
"""Of a task that `_end` ends."""
DRAINING_SINCE: Final = "millrace.dev/draining-since"


def _deployment(platform: Platform) -> Resource:
    # Image and connections are those of the release; the app, its queue and its command are somebody else's.
    system = platform.kubectl.require("deployment", platform.deployment_name("system"))["spec"]["template"]["spec"]
    (container,) = system["containers"]
    labels = {"app": NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 2,
                    "enableServiceLinks": False,
                    "securityContext": system["securityContext"],
                    "containers": [
                        {
                            "name": "celery",
                            "image": container["image"],
                            "command": ["celery", "-A", "adopted_app", "worker", "-c", "1", "--loglevel=INFO"],
                            "workingDir": "/app",
                            "env": container["env"],
                            "securityContext": container["securityContext"],
                            "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}},
                            "volumeMounts": [
                                {"name": "app", "mountPath": "/app"},
                                {"name": "tmp", "mountPath": "/tmp"},
                            ],
                        }
                    ],
                    "volumes": [{"name": "app", "configMap": {"name": NAME}}, {"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }


def _pool(**changes: Any) -> Resource:
    spec = {"workloadRef": {"name": NAME}, "queue": NAME, "maxReplicas": MOST, "idleSeconds": 4} | changes
    return {"apiVersion": "millrace.dev/v1alpha1", "kind": "WorkerPool", "metadata": {"name": NAME}, "spec": spec}


def _name(task: str) -> str:
    """Name a task as no run before this one has."""
    return f"{task}-{uuid.uuid4().hex[:8]}"


def _publish(platform: Platform, tasks: dict[str, float]) -> None:
    program = (
        APP.read_text() + f"\nfor name, seconds in {tasks!r}.items():\n    hold.delay(name, seconds)\nprint('null')\n"
    )
    platform.in_worker(program)


def _end(platform: Platform, *tasks: str) -> None:
    """Have tasks end now."""
    platform.redis("MSET", *(word for task in tasks for word in (f"adopted:{task}:over", "yes")))


def _journal(platform: Platform, tasks: dict[str, float]) -> dict[str, list[str]]:
    """Answer what each task wrote down: its words without the pods."""
    program = f"""
import json, os, redis
journal = redis.Redis.from_url(os.environ["MILLRACE_REDIS_URL"], decode_responses=True)
print(json.dumps({{name: journal.lrange("adopted:" + name, 0, -1) for name in {[*tasks]!r}}}))
"""
    found: dict[str, list[str]] = platform.in_worker(program)
    return {name: [line.split()[0] for line in lines] for name, lines in found.items()}


def _once(tasks: dict[str, float]) -> dict[str, list[str]]:
    """Answer the journal of tasks that began and ended once."""
    return {name: ["begin", "end"] for name in tasks}


def _draining(platform: Platform) -> set[str]:
    return {
        pod["metadata"]["name"]
        for pod in platform.pods(NAME)
        if DRAINING_SINCE in (pod["metadata"].get("annotations") or {})
    }


def _events(platform: Platform) -> str:
    listed = platform.kubectl.list(
        "events", field_selector=f"involvedObject.kind=WorkerPool,involvedObject.name={NAME}"
    )
    return "\n".join(f"{event['type']} {event['reason']} {event['message']}" for event in listed)


def _wait_until_working(platform: Platform, tasks: dict[str, float]) -> None:
    wait_until(
        lambda: all("begin" in lines for lines in _journal(platform, tasks).values()),
        what=f"all of {[*tasks]} to begin",
        timeout_seconds=120,
        interval_seconds=0.5,
        explain=platform.describe,
    )


def _wait_for_end(platform: Platform, tasks: dict[str, float]) -> None:
    wait_until(
        lambda: all("end" in lines for lines in _journal(platform, tasks).values()),
        what=f"all of {[*tasks]} to end",
        timeout_seconds=90,
        interval_seconds=0.5,
        explain=platform.describe,
    )


@pytest.fixture(scope="module")
def adopted(platform: Platform) -> Iterator[Platform]:
    """Adopt a plain Celery Deployment of no pods."""
    data = {"adopted_app.py": APP.read_text()}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}
    platform.kubectl.apply(config, _deployment(platform))
    # The queue is there before its pool, as it is for every app that is adopted.
    _publish(platform, {"first": 0.1})
    platform.kubectl.apply(_pool())
    yield platform
    for kind in ("workerpools.millrace.dev", "deployment", "configmap"):
        platform.kubectl.delete(kind, NAME)


def test_idle_pods_go_and_the_one_with_a_long_task_stays(adopted: Platform) -> None:
    long = _name("long")
    tasks = {long: AS_LONG_AS_WANTED} | {_name("short"): 1.0 for _ in range(MOST - 1)}
    _publish(adopted, tasks)
    _wait_until_working(adopted, tasks)

    adopted.wait_for_pool_at(1, pool=NAME)
    assert ["begin"] == _journal(adopted, tasks)[long]
    _end(adopted, long)
    _wait_for_end(adopted, tasks)

    assert _once(tasks) == _journal(adopted, tasks)
    events = _events(adopted)
    assert "Normal Draining" in events
    assert "OtherPodRemoved" not in events


def _taken_while_they_started(platform: Platform) -> float:
    (operator,) = platform.component("operator")
    with platform.kubectl.port_forward(f"pod/{operator['metadata']['name']}", 8080) as url:
        samples = re.findall(rf"^{VICTIMS.name}{{(.*)}} (\S+)$", web.get(f"{url}/metrics").body, re.MULTILINE)
    return sum(float(number) for labels, number in samples if f'pool="{NAME}"' in labels and '"starting"' in labels)


def test_pods_that_start_stay_until_their_workers_can_be_told_to_take_no_task(adopted: Platform) -> None:
    impatient = {"objective": {"waitSeconds": 1}}
    adopted.kubectl.apply(_pool(**impatient))
    # One pod that is there would do all of it before another starts.
    adopted.wait_for_pool_at(0, pool=NAME)
    tasks = {_name("brief"): 0.1 for _ in range(MOST)}
    _publish(adopted, tasks)
    wait_until(lambda: len(adopted.pods(NAME)) == MOST, what="the pods to start", explain=adopted.describe)

    # Three of them are too many before they are ready. Celery is process 1 in them: it would not hear SIGTERM.
    adopted.kubectl.apply(_pool(**impatient, maxReplicas=1))
    _wait_for_end(adopted, tasks)
    adopted.wait_for_pool_at(0, pool=NAME)

    assert _once(tasks) == _journal(adopted, tasks)
    assert 0 == _taken_while_they_started(adopted)


def test_a_drain_outlives_its_operator_and_ends_when_the_load_is_back(adopted: Platform) -> None:
    # An objective that is shorter than the start of a pod: each waiting task gets a pod.
    impatient = {"objective": {"waitSeconds": 1}}
    adopted.kubectl.apply(_pool(**impatient))
    tasks = {_name("held"): AS_LONG_AS_WANTED for _ in range(MOST)}
    _publish(adopted, tasks)
    _wait_until_working(adopted, tasks)
    before = {pod["metadata"]["uid"] for pod in adopted.pods(NAME)}

    # All pods work, and half of them are too many: they are to finish, and to take no more.
    adopted.kubectl.apply(_pool(**impatient, maxReplicas=MOST // 2))
    draining = wait_until(
        lambda: found if len(found := _draining(adopted)) == MOST // 2 else None,
        what="half of the pods to drain",
        timeout_seconds=90,
        explain=adopted.describe,
    )
    (operator,) = adopted.component("operator")
    adopted.kubectl.delete("pod", operator["metadata"]["name"], "--grace-period=0", "--force")

    # More comes: the drain of the operator that is gone is taken back by the one that came.
    more = {_name("more"): 3.0 for _ in range(MOST)}
    _publish(adopted, more)
    adopted.kubectl.apply(_pool(**impatient))
    wait_until(
        lambda: not _draining(adopted),
        what=f"{draining} to take tasks again",
        timeout_seconds=90,
        explain=adopted.describe,
    )
    # Now, and not at the end: a few seconds after the last task they go.
    assert before & {pod["metadata"]["uid"] for pod in adopted.pods(NAME)}
    _end(adopted, *tasks)
    _wait_for_end(adopted, tasks | more)

    journal = _journal(adopted, tasks | more)
    assert _once(tasks | more) == journal
    adopted.wait_for_pool_at(0, pool=NAME)
    assert 0 == adopted.queue_length(NAME)
    # The counts of a status follow within some seconds.
    wait_until(
        lambda: adopted.pool(NAME)["status"].get("drainingReplicas", 0) == 0,
        what="the status to show that nothing drains",
        timeout_seconds=60,
        explain=adopted.describe,
    )


def test_idle_workers_without_remote_control_go_when_their_queue_was_quiet(adopted: Platform) -> None:
    """Their heartbeats say that they are idle, but nobody can tell them to take no more tasks."""
    adopted.kubectl.run("set", "env", f"deployment/{NAME}", "REMOTE_CONTROL=off")
    tasks = {_name("deaf"): 0.1}
    _publish(adopted, tasks)
    _wait_for_end(adopted, tasks)

    adopted.wait_for_pool_at(0, pool=NAME)

    assert "WorkersDoNotAnswer" in _events(adopted)
    assert _once(tasks) == _journal(adopted, tasks)
