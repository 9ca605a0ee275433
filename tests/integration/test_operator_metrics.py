"""The operator's metrics over HTTP, as Prometheus asks for them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import httpx
import pytest

from millrace_contracts import metrics as names
from millrace_operator.reporting import metrics
from millrace_operator.reporting.exposition import CONTENT_TYPE, serve

POOL = ("ml", "served")


@contextmanager
def served() -> Iterator[str]:
    """Serve the metrics on a port that is free."""
    server = serve(0, metrics.exposed)
    with closing(server.socket):
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_the_metrics_of_a_pool_are_served_packed_where_the_client_can_unpack(encoding: str) -> None:
    metrics.meet_pool(POOL)
    with served() as address:
        answer = httpx.get(address, headers={"Accept-Encoding": encoding})
    metrics.forget_pool(POOL)

    assert (200, CONTENT_TYPE) == (answer.status_code, answer.headers["Content-Type"])
    assert encoding == answer.headers.get("Content-Encoding", "identity")
    assert f'{names.TASKS_LATE.name}{{namespace="ml",pool="served"}} 0.0' in answer.text.splitlines()
