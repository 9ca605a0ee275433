"""What `millrace jobs` does to a job: suspend, resume, delete, and where it finds results."""

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from millrace.cli import jobs, kubernetes_api, program

JOB: dict[str, Any] = {
    "metadata": {"name": "digits", "namespace": "ns", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "spec": {
        "model": {"name": "m"},
        "workerPoolRef": {"name": "pool"},
        "output": {"objectStore": {"uri": "s3://lake/digits"}},
    },
}
ENDED: dict[str, Any] = {
    "state": "Succeeded",
    "conditions": [{"type": "Succeeded", "status": "True", "reason": "AllRecordsSucceeded", "message": ""}],
}


@dataclass
class FakeCluster:
    """Holds one job and remembers what is done to it."""

    job: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(JOB))
    done: list[Any] = field(default_factory=list)
    namespace: str = "ns"

    def get(self, _plural: str, _name: str) -> dict[str, Any]:
        """Answer the job."""
        return self.job

    def patch(self, _plural: str, job: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
        """Change the job."""
        self.done.append(spec)
        return {**job, "spec": {**job["spec"], **spec}}

    def delete(self, _plural: str, job: dict[str, Any]) -> None:
        """Forget the job."""
        self.done.append(("deleted", job["metadata"]["uid"]))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    fake = FakeCluster()
    monkeypatch.setattr(kubernetes_api, "Cluster", lambda **_: fake)
    return fake


def run(*arguments: str) -> Result:
    return CliRunner().invoke(program.app, ["jobs", *arguments])


def test_a_job_is_suspended_and_resumed_by_its_spec(cluster: FakeCluster) -> None:
    assert "Job 'digits' is suspended." in run("suspend", "digits").stdout
    cluster.job["spec"]["suspend"] = True
    assert "Job 'digits' is resumed." in run("resume", "digits").stdout

    assert [{"suspend": True}, {"suspend": False}] == cluster.done


def test_what_is_so_already_is_not_done_again(cluster: FakeCluster) -> None:
    result = run("resume", "digits")

    assert (0, []) == (result.exit_code, cluster.done)
    assert "is not suspended" in result.stdout


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_a_job_that_has_ended_can_be_neither(cluster: FakeCluster, verb: str) -> None:
    cluster.job["status"] = ENDED

    result = run(verb, "digits")

    assert (5, []) == (result.exit_code, cluster.done)
    assert "has ended (Succeeded)" in result.stderr


@pytest.mark.parametrize("status", [{}, ENDED])
def test_a_job_is_deleted_whatever_its_state_once_the_user_is_sure(
    cluster: FakeCluster, status: dict[str, Any]
) -> None:
    cluster.job["status"] = status

    assert 2 == run("delete", "digits").exit_code
    assert [] == cluster.done
    assert 0 == run("delete", "digits", "--yes").exit_code
    assert [("deleted", "u1")] == cluster.done


@pytest.mark.parametrize("options", [(), ("--failed",)])
def test_results_in_files_are_printed_as_they_come(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    def read(asked: FakeCluster, uri: str, *, is_failed: bool) -> list[str]:
        assert (cluster, "s3://lake/digits", bool(options)) == (asked, uri, is_failed)
        return ['{"key": "a"}', '{"key": "b"}']

    monkeypatch.setattr(jobs, "result_lines", read)

    assert '{"key": "a"}\n{"key": "b"}\n' == run("results", "digits", *options).stdout


def test_results_in_kafka_have_a_place_only(cluster: FakeCluster) -> None:
    cluster.job["spec"]["output"] = {"kafka": {"topic": "answers", "errorsTopic": "failed"}}

    assert "topic 'answers'" in run("results", "digits").stderr
    assert "topic 'failed'" in run("results", "digits", "--failed").stderr
