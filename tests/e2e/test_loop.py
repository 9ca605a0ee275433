"""The whole loop: predictions over HTTP, events through Kafka, a model that is trained and served, jobs by schedule."""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from command_line import Cli, command_line, printed
from installation import Platform
from prediction_jobs import KIND, inline, job, outcome, wait_for_end
from producer_pod import Producer, producer
from waiters import wait_until

MODEL_VERSIONS = "modelversions.millrace.dev"
EVENTS = "recommender:events"
"""Redis string: events that were taken in."""
SCAN = {"pixels": [byte % 17 for byte in os.urandom(64)]}
"""Nobody has asked for it before."""


@pytest.fixture(scope="module")
def gateway(platform: Platform) -> Iterator[httpx.Client]:
    """Answer a client of the gateway's Service."""
    with platform.gateway() as client:
        yield client


@pytest.fixture(scope="module")
def cli(platform: Platform) -> Cli:
    """Run a command as a user of the installation's namespace does."""
    return command_line(platform)


@pytest.fixture(scope="module")
def users(platform: Platform) -> Iterator[Producer]:
    """Answer a pod that writes what users do to Kafka; its first events wake the recommender's pool."""
    with producer(platform) as found:
        found.write(*({"user": "ann", "item": item, "kind": "view"} for item in (1, 2, 3)))
        yield found


@pytest.fixture(scope="module")
def scheduled(platform: Platform, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Answer a schedule that has just been run: its job wakes the pool of the digits."""
    platform.wait_for_pool_at(0, pool="digits")
    template = tmp_path_factory.mktemp("schedule") / "job.json"
    template.write_text(json.dumps(job("by-schedule", inline({"key": "scan", **SCAN}))))
    printed(cli("schedule", "create", "e2e", "--cron=0 3 1 1 *", f"--job={template}", "--output=json"))
    printed(cli("schedule", "run", "e2e", "--output=json"))
    yield "e2e"
    assert 0 == cli("schedule", "delete", "e2e", "--yes").returncode


@pytest.fixture(scope="module")
def disturbed_stream(platform: Platform, users: Producer) -> tuple[int, int]:
    """Delete Kafka's and the bridge's pod while events flow; answers how many were written, and how many counted."""
    before = _counted(platform)
    running = users.start(seconds=16)
    wait_until(
        lambda: _counted(platform) > before,
        what="the first events to be counted",
        timeout_seconds=120,
        explain=platform.describe,
    )
    for component in ("ingest", "kafka"):
        (pod,) = platform.component(component)
        platform.kubectl.delete("pod", pod["metadata"]["name"], "--wait=false")
    assert running.is_going_on(), "the pods were deleted too late to disturb anything"
    written = running.confirmed()
    wait_until(
        lambda: _counted(platform) - before >= written,
        what=f"all of {written} events to be counted",
        timeout_seconds=180,
        explain=lambda: f"{_counted(platform) - before} are; {platform.describe()}",
    )
    return written, _counted(platform) - before


@pytest.fixture(scope="module")
def published(platform: Platform, cli: Cli, disturbed_stream: tuple[int, int]) -> dict[str, Any]:
    """Run the pipeline by the command line and answer its first ModelVersion, once that serves."""
    assert all(disturbed_stream)
    run = printed(cli("pipelines", "run", "recommender", "--output=json"))

    def serving() -> dict[str, Any] | None:
        (last, *_) = printed(cli("pipelines", "runs", "recommender", "--output=json"))["items"] or [{}]
        assert last.get("state") not in {"Failed", "Refused", "RolledBack"}, last
        found = (each for each in platform.kubectl.list(MODEL_VERSIONS) if run["runId"] == each["spec"]["runID"])
        return next((each for each in found if each.get("status", {}).get("state") == "Serving"), None)

    return wait_until(
        serving, what=f"run {run['runId']} to publish a version", timeout_seconds=240, explain=platform.describe
    )


def _counted(platform: Platform) -> int:
    return int(platform.redis("GET", EVENTS) or 0)


def _predict(gateway: httpx.Client, model: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Ask as an application does: take the answer if it comes at once, else come back for it."""
    answer = gateway.post(f"/v1/models/{model}/predictions", params={"wait": 20}, json={"inputs": inputs})
    assert answer.status_code in {200, 202}, answer.text
    prediction: dict[str, Any] = answer.json()["predictions"][0]
    if prediction["state"] == "Pending":
        answer = gateway.get(f"/v1/predictions/{prediction['id']}", params={"wait": 60})
        prediction = answer.json()
    assert "Succeeded" == prediction["state"], prediction
    return prediction


def test_a_prediction_waits_for_a_pool_without_pods_and_an_equal_one_comes_from_the_cache(
    platform: Platform, gateway: httpx.Client, users: Producer, scheduled: str
) -> None:
    # Both pools are asked for at the same time, here and by those.
    assert all((users, scheduled))

    first = _predict(gateway, "digits", SCAN)
    # A cache that was slower than 250 ms just then was left alone: whoever asks once more finds it.
    equal = wait_until(
        lambda: (again := _predict(gateway, "digits", SCAN))["cached"] and again,
        what="an equal prediction to come from the cache",
        explain=platform.describe,
    )

    assert not first["cached"]
    assert first["outputs"] == equal["outputs"]


def test_the_gateway_refuses_whoever_has_no_key(gateway: httpx.Client) -> None:
    answer = gateway.post("/v1/models/digits/predictions", json={"inputs": SCAN}, headers={"X-API-Key": ""})

    assert 401 == answer.status_code, answer.text


def test_a_schedule_makes_a_job_from_its_template(platform: Platform, scheduled: str) -> None:
    def made() -> str:
        jobs = platform.kubectl.list(KIND, selector=f"millrace.dev/schedule={scheduled}")
        return jobs[0]["metadata"]["name"] if jobs else ""

    name = wait_until(made, what="the job of the schedule", explain=platform.describe)
    assert ("True", "AllRecordsSucceeded") == outcome(wait_for_end(platform, name))
    platform.kubectl.delete(KIND, name)


def test_an_event_becomes_recommendations_before_there_is_any_model(platform: Platform, users: Producer) -> None:
    users.write({"user": "bob", "item": 4, "kind": "purchase"})

    def recommended() -> dict[str, Any] | None:
        text = platform.redis("GET", "recommendations:bob")
        return json.loads(text) if text else None

    found = wait_until(recommended, what="recommendations", timeout_seconds=180, explain=platform.describe)
    assert "popularity" == found["model_version"]
    assert {1, 2, 3} == set(found["items"])


def test_every_event_counts_once_though_kafka_and_the_bridge_are_deleted_in_mid_stream(
    disturbed_stream: tuple[int, int],
) -> None:
    written, counted = disturbed_stream

    assert written > 1000
    assert written == counted


def test_a_run_of_the_pipeline_publishes_a_version_and_kubectl_says_why(
    platform: Platform, published: dict[str, Any]
) -> None:
    listed = platform.kubectl.run("get", "mver")
    described = platform.kubectl.run("describe", "mver", published["metadata"]["name"])

    name, version = published["metadata"]["name"], published["spec"]["version"]
    (line,) = [line for line in listed.splitlines() if line.startswith(f"{name} ")]
    assert [name, "recommender", version, "Serving", "hit_rate"] == line.split()[:5]
    assert published["status"]["message"] in described


def test_the_gateway_answers_with_the_published_version(gateway: httpx.Client, published: dict[str, Any]) -> None:
    answer = _predict(gateway, "recommender", {"items": [1, 2], "weights": [1.0, 1.0]})

    assert published["spec"]["version"] == answer["model_version"]
    assert 10 == len(answer["outputs"]["item_ids"])


def test_events_after_the_publication_are_answered_by_the_new_model(
    platform: Platform, users: Producer, published: dict[str, Any]
) -> None:
    users.write({"user": "eve", "item": 5, "kind": "view"})

    def model_version() -> str:
        text = platform.redis("GET", "recommendations:eve")
        return str(json.loads(text)["model_version"]) if text else ""

    found = wait_until(model_version, what="recommendations", timeout_seconds=120, explain=platform.describe)
    assert published["spec"]["version"] == found
