"""What the operator reads of a real Prometheus that scrapes a real exporter."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from containers import Container, free_port
from waiters import wait_until

from millrace_operator.api.worker_pool import WorkerPool
from millrace_operator.clock import Clock
from millrace_operator.model.reading import Blindness, Unknown
from millrace_operator.observation.promql import PrometheusQueries, QueryReading

PAGE = b"""tasks_waiting{queue="a"} 4
tasks_waiting{queue="b"} 3
tasks_running 2
tasks_done_total 40
tasks_strange NaN
"""


class Exporter(BaseHTTPRequestHandler):
    """Metrics of a broker that the operator does not know."""

    def do_GET(self) -> None:
        """Answer the page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Say nothing."""


@pytest.fixture(scope="module")
def exporter() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def address(exporter: ThreadingHTTPServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    folder.chmod(0o755)
    target = f"127.0.0.1:{exporter.server_port}"
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        f"scrape_configs: [{{job_name: exporter, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    port = free_port()
    container = Container(
        image="millrace/prometheus:dev",
        ports={},
        command=[
            "--config.file=/etc/test/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        options=["--network=host", f"--volume={folder}:/etc/test:ro"],
    )
    container.create()
    yield f"http://127.0.0.1:{port}"
    container.remove()


@pytest.fixture
def queries(address: str, runner: asyncio.Runner) -> Iterator[PrometheusQueries]:
    queries = PrometheusQueries(url=address, timeout_seconds=15.0, interval_seconds=0.5, clock=Clock())
    yield queries
    runner.run(queries.close())


def pool(name: str, waiting: str, **others: str) -> WorkerPool:
    source = {"type": "Prometheus", "prometheus": {"waitingQuery": waiting} | others}
    spec = {"queue": name, "workloadRef": {"name": name}, "maxReplicas": 9, "source": source}
    return WorkerPool.from_body({"metadata": {"namespace": "ml", "name": name, "uid": name}, "spec": spec})


def test_queries_are_numbers_or_unknown_and_an_exporter_that_dies_is_unknown(
    exporter: ThreadingHTTPServer, queries: PrometheusQueries, runner: asyncio.Runner
) -> None:
    good = pool("good", "sum(tasks_waiting)", runningQuery="tasks_running", completedQuery="tasks_done_total")
    wrong = {
        "several": pool("several", "tasks_waiting"),
        "none": pool("none", "tasks_of_nobody"),
        "nan": pool("nan", "tasks_strange"),
        "grammar": pool("grammar", "sum(tasks_waiting"),
        "matrix": pool("matrix", "tasks_waiting[1m]"),
    }

    def scraped() -> QueryReading | None:
        reading = runner.run(queries.observe([good, *wrong.values()]))[good.key]
        return reading if isinstance(reading, QueryReading) else None

    reading = wait_until(scraped, what="Prometheus to have scraped", timeout_seconds=120)
    readings = runner.run(queries.observe([good, *wrong.values()]))

    assert (7, 2, 40) == (reading.waiting, reading.running, reading.completed)
    for name, words in {
        "several": "several series",
        "none": "answers nothing",
        "nan": "answers nan",
        "grammar": "parse error",
        "matrix": "answers with a matrix",
    }.items():
        answer = readings["ml", name]
        assert isinstance(answer, Unknown)
        assert Blindness.QUERY_FAILED == answer.reason
        assert words in answer.message

    exporter.shutdown()
    exporter.server_close()

    def blind() -> Unknown | None:
        answer = runner.run(queries.observe([good]))[good.key]
        return answer if isinstance(answer, Unknown) else None

    assert "answers nothing" in wait_until(blind, what="the series to go stale").message


def test_a_prometheus_that_is_away_is_unknown(runner: asyncio.Runner) -> None:
    away = PrometheusQueries(
        url=f"http://user:secret@127.0.0.1:{free_port()}", timeout_seconds=2.0, interval_seconds=5.0, clock=Clock()
    )
    answer = runner.run(away.observe([pool("any", "up")]))["ml", "any"]
    runner.run(away.close())

    assert isinstance(answer, Unknown)
    assert Blindness.BROKER_UNREACHABLE == answer.reason
    assert "secret" not in answer.message
