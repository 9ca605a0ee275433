"""Which of Prometheus' answers are numbers of tasks, and how often it is asked."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from millrace_operator.api.worker_pool import Source, SourceType, WorkerPool
from millrace_operator.clock import Clock
from millrace_operator.errors import ObservationError
from millrace_operator.model.reading import Blindness, Unknown
from millrace_operator.observation.promql import PrometheusQueries, QueryError, QueryReading, number_in


def answer(*values: str) -> bytes:
    series = [{"metric": {"pod": str(i)}, "value": [1_700_000_000.0, value]} for i, value in enumerate(values)]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": series}}).encode()


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("7", 7), ("2.0000000001", 2), ("0.2", 1), ("1e3", 1000)])
def test_one_series_is_a_number_of_tasks_rounded_up(value: str, number: int) -> None:
    assert number == number_in(200, answer(value))


def test_a_scalar_is_a_number_of_tasks() -> None:
    assert 3 == number_in(200, b'{"status": "success", "data": {"resultType": "scalar", "result": [1, "3"]}}')


def test_no_series_is_not_zero() -> None:
    assert number_in(200, answer()) is None


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, answer("1", "2"), "several series"),
        (200, answer("NaN"), "answers nan"),
        (200, answer("+Inf"), "answers inf"),
        (200, answer("-1"), "answers -1"),
        (200, answer("many"), "neither with a number"),
        (200, b'{"status": "success", "data": {"resultType": "string", "result": [1, "x"]}}', "answers with a string"),
        (200, b'{"status": "success"}', "neither with a number"),
        (400, b'{"status": "error", "errorType": "bad_data", "error": "parse error: x"}', "fails: parse error: x"),
        (200, answer("1")[:-1] + b', "warnings": ["store away"]}', "in part only"),
    ],
)
def test_an_answer_that_is_no_number_of_tasks_is_refused_with_its_reason(status: int, body: bytes, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        number_in(status, body)


@pytest.mark.parametrize(("status", "body"), [(401, b""), (403, b"{}"), (502, b"<html>"), (200, b"[]"), (200, b"null")])
def test_what_is_no_answer_of_prometheus_names_the_setting(status: int, body: bytes) -> None:
    with pytest.raises(ObservationError, match="MILLRACE_PROMETHEUS_URL"):
        number_in(status, body)


class Time(Clock):
    """A clock that the test moves."""

    seconds = 1_000_000.0

    def now(self) -> datetime:
        """Read it."""
        return datetime.fromtimestamp(self.seconds, UTC)


class Prometheus:
    """Answers each query with what the test wrote, and remembers what was asked."""

    def __init__(self, **answers: bytes | Exception) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.clock = Time()
        self.queries = PrometheusQueries(
            url="http://user:secret@prometheus:9090/",
            timeout_seconds=2,
            interval_seconds=5,
            clock=self.clock,
            transport=httpx.MockTransport(self._answer),
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        (query,) = parse_qs(request.content.decode())["query"]
        self.asked.append(query)
        found = self.answers[query]
        if isinstance(found, Exception):
            raise found
        return httpx.Response(200, content=found)

    def read(self, *pools: WorkerPool) -> Any:
        """Read pools as a pass does."""
        return asyncio.run(self.queries.observe(pools))


def pool(name: str = "digits", **queries: str) -> WorkerPool:
    body = {
        "metadata": {"namespace": "ml", "name": name, "uid": name},
        "spec": {"queue": name, "workloadRef": {"name": name}, "maxReplicas": 9},
    }
    found = WorkerPool.from_body(body)
    source = Source(type=SourceType.PROMETHEUS, **{f"{key}_query": query for key, query in queries.items()})
    return WorkerPool(**{field: getattr(found, field) for field in found.__slots__} | {"source": source})


KEY = ("ml", "digits")


def test_all_queries_of_a_pool_make_one_reading() -> None:
    prometheus = Prometheus(w=answer("5"), r=answer("2"), c=answer("40"))

    assert {KEY: QueryReading(read_at=1_000_000.0, waiting=5, running=2, completed=40)} == prometheus.read(
        pool(waiting="w", running="r", completed="c")
    )


def test_a_waiting_query_without_an_answer_is_unknown() -> None:
    reading = Prometheus(w=answer()).read(pool(waiting="w"))[KEY]

    assert Blindness.QUERY_FAILED == reading.reason
    assert "waitingQuery answers nothing" in reading.message


def test_a_counter_that_does_not_exist_yet_disturbs_nothing() -> None:
    prometheus = Prometheus(w=answer("5"), c=answer())

    assert {KEY: QueryReading(read_at=1_000_000.0, waiting=5)} == prometheus.read(pool(waiting="w", completed="c"))


def test_prometheus_is_asked_again_only_after_a_while() -> None:
    prometheus = Prometheus(w=answer("5"))
    prometheus.read(pool(waiting="w"))
    prometheus.answers["w"] = answer("6")
    prometheus.clock.seconds += 4.9
    early = prometheus.read(pool(waiting="w"))[KEY]
    prometheus.clock.seconds += 0.1
    late = prometheus.read(pool(waiting="w"))[KEY]

    assert [(5, 1_000_000.0), (6, 1_000_005.0)] == [(each.waiting, each.read_at) for each in (early, late)]


def test_a_query_that_was_changed_is_asked_at_once() -> None:
    prometheus = Prometheus(w=answer("5"), other=answer("8"))
    prometheus.read(pool(waiting="w"))

    assert 8 == prometheus.read(pool(waiting="other"))[KEY].waiting


def test_a_prometheus_that_is_away_is_not_asked_a_thousand_times() -> None:
    prometheus = Prometheus(w=httpx.ConnectTimeout("slow"))
    readings = prometheus.read(*(pool(f"pool-{i}", waiting="w") for i in range(1000)))

    assert {Blindness.BROKER_UNREACHABLE} == {each.reason for each in readings.values() if isinstance(each, Unknown)}
    assert 1000 == len(readings)
    assert len(prometheus.asked) <= 20
