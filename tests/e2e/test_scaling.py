"""The pool goes from nothing to as many pods as the work needs and back, and says why."""

from collections.abc import Iterator

import pytest
from installation import Platform
from prediction_jobs import KIND, assert_complete, condition, ended, inline, job, submit, wait_for_end
from sample_run import SampleRun
from waiters import wait_until

MAX_REPLICAS = 3
"""Of the pool `digits` in values.yaml."""


def test_the_pool_goes_up_in_one_write_and_back_to_zero(sample_run: SampleRun) -> None:
    # How many depends on what the pool has learned of its tasks from the tests before; it asks for all of them at once.
    assert 1 <= sample_run.decision_at_peak["replicas"] <= MAX_REPLICAS
    assert [0, sample_run.decision_at_peak["replicas"]] == sample_run.replicas[:2]
    assert sorted(sample_run.replicas[1:], reverse=True) == sample_run.replicas[1:]
    assert 0 == sample_run.replicas[-1]


def test_the_decision_says_why_in_a_sentence_with_numbers(sample_run: SampleRun) -> None:
    decision = sample_run.decision_at_peak

    assert decision["reason"]
    assert decision["message"].startswith(f"{decision['replicas']} replica")
    assert "task" in decision["message"]
    assert decision["time"]


def test_events_of_the_pool_tell_of_both_directions(platform: Platform, sample_run: SampleRun) -> None:
    assert sample_run.replicas
    events = platform.kubectl.list("events", field_selector="involvedObject.kind=WorkerPool,involvedObject.name=digits")
    messages = [event["message"] for event in events]

    assert any(message.startswith(f"{MAX_REPLICAS} replicas") for message in messages), messages
    assert any(message.startswith("0 replicas") for message in messages), messages


def test_kubectl_get_shows_why_the_pool_has_so_many_pods(platform: Platform, sample_run: SampleRun) -> None:
    assert sample_run.replicas

    def row_at_rest() -> list[str] | None:
        header, row = platform.kubectl.run("get", "wpool", "digits").splitlines()
        columns = ["NAME", "READY", "DESIRED", "WAITING", "RUNNING", "WAIT", "OBJECTIVE", "REASON", "AGE"]
        assert columns == header.split()
        return row.split() if row.split()[1:5] == ["0/0", "0", "0", "0"] else None

    row = wait_until(row_at_rest, what="`kubectl get wpool` to show an idle pool", timeout_seconds=60)
    assert ["0s", "30s", "p95"] == row[5:8]
    assert row[8] in {"AtMinimum", "IdleScaleDown"}


def test_describe_answers_why_this_many_pods_without_logs(platform: Platform, sample_run: SampleRun) -> None:
    assert sample_run.replicas

    described = platform.kubectl.run("describe", "wpool", "digits")

    assert "Last Decision" in described
    assert "Message" in described
    assert "Events:" in described


def _set_minimum(platform: Platform, replicas: int) -> None:
    patch = f'{{"spec": {{"minReplicas": {replicas}}}}}'
    platform.kubectl.run("patch", "workerpools.millrace.dev", "digits", "--type=merge", f"--patch={patch}")


@pytest.fixture
def all_pods_ready(platform: Platform) -> Iterator[None]:
    """Have all pods of the pool up, whatever is known of the time of its tasks."""
    _set_minimum(platform, MAX_REPLICAS)
    platform.wait_for_pool_at(MAX_REPLICAS)
    yield
    _set_minimum(platform, 0)


@pytest.mark.usefixtures("all_pods_ready")
def test_scaling_down_takes_no_task_from_a_busy_worker(platform: Platform) -> None:
    before = platform.redelivered("digits")
    seconds = [30.0] + [0.1] * 11
    source = inline(*({"key": f"task-{number}", "seconds": [each]} for number, each in enumerate(seconds)))
    batching = {"recordsPerTask": 1}
    name = submit(platform, job("one-long-task", source, model="slow", to_claim=True, batching=batching))

    # One pod is busy for 30 s; the others are idle after a moment, and idleSeconds is 5.
    _set_minimum(platform, 0)
    platform.wait_for_pool_at(1)
    assert not ended(platform.kubectl.require(KIND, name))
    found = wait_for_end(platform, name)

    assert_complete(platform, found, [f"task-{number}" for number in range(12)])
    assert before == platform.redelivered("digits")


@pytest.fixture
def pool_without_deployment(platform: Platform) -> Iterator[str]:
    """Answer a WorkerPool whose Deployment does not exist."""
    platform.kubectl.apply(
        {
            "apiVersion": "millrace.dev/v1alpha1",
            "kind": "WorkerPool",
            "metadata": {"name": "homeless"},
            "spec": {"workloadRef": {"name": "no-such-deployment"}, "queue": "homeless", "maxReplicas": 1},
        }
    )
    yield "homeless"
    platform.kubectl.delete("workerpools.millrace.dev", "homeless")


def test_a_pool_without_its_deployment_says_which_one_is_missing(
    platform: Platform, pool_without_deployment: str
) -> None:
    ready = wait_until(
        lambda: condition(platform.pool(pool_without_deployment), "Ready"),
        what="the pool to say whether it is ready",
        timeout_seconds=60,
        explain=lambda: platform.kubectl.explain("describe", "wpool", pool_without_deployment),
    )

    assert ("False", "WorkloadNotFound") == (ready["status"], ready["reason"])
    assert "no-such-deployment" in ready["message"]
