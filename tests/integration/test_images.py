"""What Kubernetes counts on in our images."""

import uuid

import pytest
from containers import LABEL, docker
from waiters import wait_until

STARTS_AT_ONCE = ["tini", "--", "celery", "-A", "millrace_worker.app", "worker", "--queues=q"]


@pytest.mark.parametrize(
    "when", [pytest.param("", id="at-once"), pytest.param("Cannot connect", id="while-it-waits-for-the-broker")]
)
def test_a_worker_that_is_told_to_stop_while_it_starts_stops_at_once(when: str) -> None:
    # Python as process 1 would ignore the signal until Celery is imported, and then live until the grace period ends.
    nowhere = ["-e", "MILLRACE_QUEUE=q", "-e", "MILLRACE_BROKER_URL=amqp://a:b@127.0.0.1:1/c"]
    nowhere += ["-e", "MILLRACE_REDIS_URL=redis://127.0.0.1:1/0"]
    name = f"millrace-test-{uuid.uuid4().hex[:12]}"
    docker("run", "--detach", f"--name={name}", f"--label={LABEL}", *nowhere, "millrace/worker:dev", *STARTS_AT_ONCE)
    try:
        wait_until(lambda: not when or when in docker("logs", name), what=when, timeout_seconds=30)
        docker("kill", "--signal=TERM", name)
        docker("wait", name, timeout_seconds=20)
    finally:
        docker("rm", "--force", name)
