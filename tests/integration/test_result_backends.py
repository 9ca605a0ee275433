"""Results of a team's own tasks, on each kind of result backend: a value, a failure, a retry, a group and a chord.

MongoDB's protocol is spoken by an emulation; everything else is the real server.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import user_tasks
from cassandra_server import cassandra
from celery import Celery, chord, group
from containers import Container
from mongo import mongo
from pydantic import SecretStr
from sql_servers import mariadb, postgresql
from worker_jobs import Platform

from millrace_worker.app import create_app
from millrace_worker.broker.kinds import ResultBackendKind
from millrace_worker.errors import ResultBackendLacksChords
from millrace_worker.settings import WorkerSettings

PASSWORD = "integration"
PATIENCE_SECONDS = 60

SERVERS: dict[ResultBackendKind, Callable[[], AbstractContextManager[str]]] = {
    ResultBackendKind.POSTGRESQL: postgresql,
    ResultBackendKind.MYSQL: mariadb,
    ResultBackendKind.MONGODB: mongo,
    ResultBackendKind.CASSANDRA: cassandra,
    ResultBackendKind.RPC: lambda: nullcontext(""),
}


@dataclass
class Team:
    """A worker with a team's tasks, and a client that calls them."""

    kind: ResultBackendKind
    app: Celery

    def task(self, name: str) -> Any:
        """Answer a task of `user_tasks`."""
        return self.app.tasks[f"users.{name}"]


@pytest.fixture(scope="module", params=list(ResultBackendKind))
def team(
    request: pytest.FixtureRequest,
    rabbitmq: Container,
    redis: Container,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Team]:
    kind: ResultBackendKind = request.param
    folder = tmp_path_factory.mktemp(str(kind))
    platform = Platform(
        broker_url=f"amqp://worker:{PASSWORD}@127.0.0.1:{rabbitmq.ports[5672]}/millrace",
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/0",
        triton_url="",
        queue=f"team-{kind}",
        folder=folder,
    )
    own: dict[ResultBackendKind, str] = {
        ResultBackendKind.REDIS: platform.redis_url,
        ResultBackendKind.SQLITE: f"sqlite:///{folder}/results.db",
    }
    server = nullcontext(own[kind]) if kind in own else SERVERS[kind]()
    with server as url:
        environment = {"MILLRACE_RESULT_BACKEND_KIND": str(kind), "MILLRACE_TASK_MODULES": user_tasks.__name__}
        environment["PYTHONPATH"] = str(Path(user_tasks.__file__).parent)
        if url:
            environment["MILLRACE_RESULT_BACKEND_URL"] = url
        settings = WorkerSettings(
            broker_url=SecretStr(platform.broker_url),
            redis_url=SecretStr(platform.redis_url),
            queue=platform.queue,
            result_backend_kind=kind,
            result_backend_url=SecretStr(url) if url else None,
            state_dir=folder / "client",
        )
        app = create_app(settings)
        try:
            platform.worker(**environment)
            yield Team(kind, app)
        finally:
            platform.close()
            app.close()


def test_a_team_gets_its_values_failures_and_retries(team: Team) -> None:
    added, failed, tried = team.task("add").delay(2, 3), team.task("fail").delay("no"), team.task("second_try").delay()

    assert 5 == added.get(timeout=PATIENCE_SECONDS)
    with pytest.raises(ValueError, match="no"):
        failed.get(timeout=PATIENCE_SECONDS)
    assert "ValueError" in failed.traceback
    assert 1 == tried.get(timeout=PATIENCE_SECONDS)


def test_a_group_answers_in_its_order_and_a_chord_ends_it(team: Team) -> None:
    header = [team.task("add").s(i, i) for i in range(5)]
    together = group(header, app=team.app).apply_async()
    assert [0, 2, 4, 6, 8] == together.get(timeout=PATIENCE_SECONDS)
    if team.kind is ResultBackendKind.RPC:
        with pytest.raises(ResultBackendLacksChords, match="RESULT_BACKEND_KIND"):
            chord(header, app=team.app)(team.task("total").s())
        return

    ended = chord(header, app=team.app)(team.task("total").s())
    assert 20 == ended.get(timeout=PATIENCE_SECONDS)
