"""A PredictionJob of a schedule: its object, and what each answer of the API server means."""

from collections.abc import Mapping
from typing import Any

import pytest

from millrace_contracts.schedules import JobTemplate, SubmitJobTask
from millrace_worker.errors import JobRefused, KubernetesUnavailable
from millrace_worker.tasks import submit_job as module
from millrace_worker.tasks.submit_job import job_object, submit_job

TICK = 1_764_000_000
SPEC = {"model": {"name": "digits"}, "workerPoolRef": {"name": "digits"}}


def task(*, namespace: str | None = None, schedule: str = "nightly scores") -> SubmitJobTask:
    metadata = {"name": "scores", "namespace": namespace, "labels": {"team": "a"}, "annotations": {"x": "y"}}
    template = JobTemplate.model_validate({"metadata": metadata, "spec": SPEC})
    return SubmitJobTask(schedule=schedule, template=template, tick=TICK)


class ApiServer:
    """Keeps names, as the real one does."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    def __call__(self, namespace: str, body: Mapping[str, Any]) -> bool:
        """Make an object, or say that it is there."""
        key = (namespace, body["metadata"]["name"])
        is_new = key not in self.made
        self.made += [key] if is_new else []
        return is_new


def test_the_job_is_the_template_with_the_name_of_its_tick() -> None:
    made = job_object(task(schedule="nightly"), namespace="ml", at="2025-11-24T16:00:00Z")
    assert ("millrace.dev/v1alpha1", "PredictionJob", SPEC) == (made["apiVersion"], made["kind"], made["spec"])
    assert {
        "name": "scores-29400000",
        "namespace": "ml",
        "labels": {"team": "a", "millrace.dev/schedule": "nightly"},
        "annotations": {"x": "y", "millrace.dev/scheduled-at": "2025-11-24T16:00:00Z"},
    } == made["metadata"]


def test_a_name_that_is_no_label_makes_no_label() -> None:
    assert {"team": "a"} == job_object(task(), namespace="ml", at="")["metadata"]["labels"]


def test_the_same_tick_makes_one_job_in_the_namespace_of_the_template_or_of_the_worker() -> None:
    server = ApiServer()
    for _ in range(2):
        submit_job(task(), server, own_namespace=lambda: "own", at="")
    submit_job(task(namespace="ml"), server, own_namespace=lambda: "own", at="")
    assert [("own", "scores-29400000"), ("ml", "scores-29400000")] == server.made


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_that_stays_is_told_with_the_servers_words(status: int) -> None:
    with pytest.raises(JobRefused, match=f"HTTP {status}.*unknown field"):
        module._answer(status, "unknown field spec.modle", ValueError())  # noqa: SLF001 - the rule itself


@pytest.mark.parametrize("status", [0, None, 408, 429, 500, 503])
def test_a_server_that_is_busy_or_away_is_asked_again(status: int | None) -> None:
    with pytest.raises(KubernetesUnavailable):
        module._answer(status, "", ValueError())  # noqa: SLF001 - the rule itself


def test_a_job_that_is_there_is_no_error() -> None:
    assert module._answer(409, "", ValueError()) is False  # noqa: SLF001 - the rule itself
