"""What Kubernetes counts on in our images."""

import pytest
from containers import Container, docker
from waiters import wait_until

WORKER = ("tini", "--", "celery", "-A", "millrace_worker.app", "worker", "--queues=q")
NOWHERE = ("--env=MILLRACE_QUEUE=q", "--env=MILLRACE_BROKER_URL=amqp://a:b@127.0.0.1:1/c")


@pytest.mark.parametrize(
    "when", [pytest.param("", id="at-once"), pytest.param("Cannot connect", id="while-it-waits-for-the-broker")]
)
def test_a_worker_that_is_told_to_stop_while_it_starts_stops_at_once(when: str) -> None:
    # Python as process 1 would ignore the signal until Celery is imported, and then live until the grace period ends.
    redis = "--env=MILLRACE_REDIS_URL=redis://127.0.0.1:1/0"
    worker = Container(image="millrace/worker:dev", ports={}, command=WORKER, options=[*NOWHERE, redis])
    worker.create()
    try:
        wait_until(lambda: when in worker.last_lines(), what=when, timeout_seconds=60)
        docker("kill", "--signal=TERM", worker.name)
        docker("wait", worker.name)
    finally:
        worker.remove()
