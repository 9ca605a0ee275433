"""What people and alerts look at: Prometheus with the dashboards' queries and the alerts, and Flower.

Each query of each panel is asked of the Prometheus that has watched a job come, scale its pool up, and leave again.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
import web
from dashboards import Panel, all_panels
from installation import Platform
from kubectl import Resource
from prediction_jobs import inline, job, outcome, slow_job, submit, wait_for_end
from waiters import wait_until

from millrace_contracts import metrics
from millrace_contracts.metrics import Metric

# Counted when something fails; absent or zero where nothing did.
FAILURE_METRICS = {metrics.LOOP_FAILURES.name, metrics.OBSERVATION_FAILURES.name}
ALL_METRICS = sorted(
    (metric for metric in vars(metrics).values() if isinstance(metric, Metric) and metric.name not in FAILURE_METRICS),
    key=lambda metric: metric.name,
)
TARGETS = ("operator", "rabbitmq", "flower", "gateway", "ingest")
Value = TypeVar("Value")
SHOWN = "30m"
"""What a dashboard shows when it is opened."""


@pytest.fixture(scope="module")
def finished_job(platform: Platform) -> Resource:
    """Answer a finished job of six tasks that took long enough (10 s at least) for its service time to be measured.

    Beside it goes one with a record that fails, so that there is something to see of failures, and calls of the
    gateway, some before and some after, so that there is something to see of their rates.
    """
    bad = submit(platform, job("observed-failure", inline({"key": "short", "pixels": [1]})))
    name = submit(platform, slow_job("observed", records=12, seconds_each=4))
    with platform.gateway() as gateway:
        _call(gateway)
        wait_for_end(platform, bad)
        found = wait_for_end(platform, name)
        _call(gateway)
    assert "True" == outcome(found)[0]
    platform.wait_for_pool_at(0)
    return found


def _call(gateway: httpx.Client) -> None:
    """Ask for what nobody has asked for, ask again, and be refused."""
    inputs = {"pixels": [byte % 17 for byte in os.urandom(64)]}
    for key, status in ((gateway.headers["X-API-Key"], 200), (gateway.headers["X-API-Key"], 200), ("wrong", 401)):
        answer = gateway.post(
            "/v1/models/digits/predictions?wait=60", json={"inputs": inputs}, headers={"X-API-Key": key}
        )
        assert status == answer.status_code, answer.text


@pytest.fixture(scope="module")
def prometheus(platform: Platform) -> Iterator[str]:
    """Answer the address of Prometheus."""
    (service,) = platform.component("prometheus", kind="service")
    with platform.kubectl.port_forward(f"service/{service['metadata']['name']}", 9090) as url:
        yield url


@pytest.fixture(scope="module")
def flower(platform: Platform) -> Iterator[str]:
    """Answer the address of Flower."""
    (service,) = platform.component("flower", kind="service")
    with platform.kubectl.port_forward(f"service/{service['metadata']['name']}", 5555) as url:
        yield url


def _wait_for_data(
    prometheus: str, condition: Callable[[], Value | None], *, what: str, timeout_seconds: float = 60
) -> Value:
    """Wait, and on failure say how the last scrapes went: what is missing was seldom not there to be scraped."""
    return wait_until(
        condition, what=what, timeout_seconds=timeout_seconds, explain=lambda: web.explain_scrapes(prometheus)
    )


def _flower(platform: Platform, url: str) -> web.Answer:
    name = f"{platform.release.name}-flower"
    return web.get(url, user=platform.secret(name, "user"), password=platform.secret(name, "password"))


def test_prometheus_has_the_queue_and_the_replicas_of_a_pool_without_pods(
    platform: Platform, prometheus: str, finished_job: Resource
) -> None:
    assert finished_job
    pool = f'{{namespace="{platform.kubectl.namespace}",pool="digits"}}'

    def both_zero() -> list[Any] | None:
        ready = web.query_prometheus(prometheus, f"{metrics.QUEUE_READY.name}{pool}")
        replicas = web.query_prometheus(prometheus, f"{metrics.REPLICAS_ACTUAL.name}{pool}")
        values = [series["value"][1] for series in (*ready, *replicas)]
        return values if values == ["0", "0"] else None

    _wait_for_data(prometheus, both_zero, what="Prometheus to hold an empty queue and no replicas")
    assert 0 == platform.replicas("digits")


@pytest.mark.parametrize("metric", ALL_METRICS, ids=lambda metric: metric.name)
def test_every_metric_of_the_contract_is_in_prometheus(prometheus: str, finished_job: Resource, metric: Metric) -> None:
    assert finished_job

    def series() -> list[dict[str, Any]]:
        # A histogram is exposed as name_bucket, name_sum and name_count. Some are known only while there is work.
        return web.query_prometheus(prometheus, f'{{__name__=~"{metric.name}(_count)?"}}[{SHOWN}]')

    found = _wait_for_data(prometheus, series, what=f"{metric.name} to be in Prometheus")
    assert set(metric.labels) <= set(found[0]["metric"]), found[0]["metric"]


def test_prometheus_reaches_every_target_that_is_always_there(prometheus: str, finished_job: Resource) -> None:
    assert finished_job

    def all_up() -> bool:
        # Triton's pods come and go. One scrape may run into its limit on a busy machine; the next one must not.
        down = web.query_prometheus(prometheus, 'up{job!="triton"} == 0')
        up = web.query_prometheus(prometheus, f'up{{job=~"{"|".join(TARGETS)}"}} == 1')
        return not down and set(TARGETS) == {series["metric"]["job"] for series in up}

    _wait_for_data(prometheus, all_up, what="every target to be up", timeout_seconds=120)


@pytest.mark.parametrize("panel", list(all_panels()), ids=lambda panel: panel.name)
def test_every_query_of_a_panel_returns_data(
    platform: Platform, prometheus: str, finished_job: Resource, panel: Panel
) -> None:
    assert finished_job

    for query in panel.queries(namespace=platform.kubectl.namespace, __range=SHOWN):

        def data(query: str = query) -> bool:
            found = web.query_prometheus(prometheus, f"({query})[{SHOWN}:5s]")
            return any(value != "NaN" for series in found for _, value in series["values"])

        _wait_for_data(prometheus, data, what=f"data of {query}")


def test_prometheus_has_loaded_the_alerts_and_none_of_them_fails(prometheus: str, finished_job: Resource) -> None:
    assert finished_job

    groups = web.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]

    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert {"MillraceObjectiveMissed", "MillraceDeadLetters", "MillraceBeatSilent"} <= health.keys()
    assert {"ok"} == set(health.values()), health


def test_failures_are_counted_by_code(prometheus: str, finished_job: Resource) -> None:
    assert finished_job

    def counted() -> list[dict[str, Any]]:
        return web.query_prometheus(prometheus, f'{metrics.RECORD_FAILURES.name}{{code="InvalidRecord"}} >= 1')

    _wait_for_data(prometheus, counted, what="the record that failed in Prometheus")


def test_records_are_counted_by_outcome(prometheus: str, finished_job: Resource) -> None:
    assert finished_job

    def counted() -> list[dict[str, Any]]:
        return web.query_prometheus(
            prometheus, f'sum({metrics.RECORDS.name}{{model="slow",outcome="succeeded"}}) >= 12'
        )

    _wait_for_data(prometheus, counted, what="the job's 12 records in Prometheus")


def test_flower_refuses_whoever_has_no_password(flower: str) -> None:
    assert 401 == web.get(f"{flower}/").status
    assert 401 == web.get(f"{flower}/api/tasks").status
    assert 401 == web.get(f"{flower}/", user="millrace", password="wrong").status


def test_flowers_page_opens_with_the_password(platform: Platform, flower: str) -> None:
    page = _flower(platform, f"{flower}/")

    assert 200 == page.status
    assert "Flower" in page.body


def test_flower_lists_all_tasks_of_a_job(platform: Platform, flower: str, finished_job: Resource) -> None:
    uid = finished_job["metadata"]["uid"]
    expected = {f"{uid}:plan", *(f"{uid}:shard:{number}" for number in range(6)), f"{uid}:finalize"}

    def states() -> dict[str, str] | None:
        answer = _flower(platform, f"{flower}/api/tasks?limit=200&sort_by=-received")
        assert 200 == answer.status, answer.body
        tasks = {name: task["state"] for name, task in answer.json().items() if name in expected}
        return tasks if {"SUCCESS"} == set(tasks.values()) and expected == set(tasks) else None

    wait_until(states, what="Flower to list the tasks as done")


def test_flower_knows_the_queues(platform: Platform, flower: str) -> None:
    page = _flower(platform, f"{flower}/broker")

    assert 200 == page.status
