"""Where the results of users' tasks are kept: Celery's settings by kind of result backend.

Nothing of a job, a prediction or a pipeline's history depends on them; those stand in Redis whatever this says. Only
the chords of pipelines need a backend that can count.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from celery.backends.rpc import RPCBackend

from millrace_worker.broker.kinds import ResultBackendKind
from millrace_worker.errors import ResultBackendLacksChords, SettingsInvalid
from millrace_worker.settings import WorkerSettings

RESULT_SECONDS: Final = 86_400
CASSANDRA_PORT: Final = 9042

KINDS_WITHOUT_EXPIRY: Final = frozenset(
    {ResultBackendKind.POSTGRESQL, ResultBackendKind.MYSQL, ResultBackendKind.SQLITE, ResultBackendKind.MONGODB}
)
"""Old results are deleted there by Celery's own task `celery.backend_cleanup`, once a day."""


class RpcBackend(RPCBackend):  # type: ignore[misc] # celery has no types
    """Celery's RPC backend, which says at once what it cannot do."""

    def ensure_chords_allowed(self) -> None:
        """Refuse a chord when it is called, not when it hangs."""
        raise ResultBackendLacksChords(
            "the result backend rpc knows no chords (a group with something after it); set RESULT_BACKEND_KIND to "
            "redis or a database, or collect the group's results yourself"
        )


def result_configuration(settings: WorkerSettings) -> dict[str, Any]:
    """Answer Celery's settings of results."""
    return {
        "result_serializer": "json",
        "result_accept_content": ["json"],
        "result_expires": RESULT_SECONDS,
        "result_backend_always_retry": True,
        "result_backend_max_retries": 10,
        "task_ignore_result": True,
        **_BY_KIND[settings.result_backend_kind](settings.result_url),
    }


def _redis(url: str) -> dict[str, Any]:
    return {
        "result_backend": url,
        "redis_socket_keepalive": True,
        "redis_retry_on_timeout": True,
        "redis_socket_timeout": 15.0,
        "redis_backend_health_check_interval": 30,
    }


def _database(driver: str) -> Callable[[str], dict[str, Any]]:
    def configuration(url: str) -> dict[str, Any]:
        return {
            "result_backend": f"db+{driver}://{url.partition('://')[2]}",
            # A connection that the server closed meanwhile is noticed before it is used.
            "database_engine_options": {"pool_pre_ping": True} if driver != "sqlite" else {},
        }

    return configuration


def _mongodb(url: str) -> dict[str, Any]:
    return {"result_backend": url}


def _cassandra(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    hosts, _, port = parts.netloc.rpartition("@")[2].partition(":")
    keyspace = parts.path.strip("/")
    if not hosts or not keyspace:
        raise SettingsInvalid(
            "MILLRACE_RESULT_BACKEND_URL must read cassandra://user:password@host1,host2:9042/keyspace"
        )
    configuration = {
        "result_backend": "cassandra://",
        "cassandra_servers": hosts.split(","),
        "cassandra_port": int(port or CASSANDRA_PORT),
        "cassandra_keyspace": keyspace,
        "cassandra_table": "tasks",
        "cassandra_entry_ttl": RESULT_SECONDS,
        "cassandra_read_consistency": "LOCAL_QUORUM",
        "cassandra_write_consistency": "LOCAL_QUORUM",
    }
    if parts.username:
        configuration["cassandra_auth_provider"] = "PlainTextAuthProvider"
        configuration["cassandra_auth_kwargs"] = {
            "username": unquote(parts.username),
            "password": unquote(parts.password or ""),
        }
    return configuration


def _rpc(_: str) -> dict[str, Any]:
    return {"result_backend": f"{RpcBackend.__module__}:{RpcBackend.__name__}"}


_BY_KIND: Final[Mapping[ResultBackendKind, Callable[[str], dict[str, Any]]]] = {
    ResultBackendKind.REDIS: _redis,
    ResultBackendKind.POSTGRESQL: _database("postgresql+psycopg"),
    ResultBackendKind.MYSQL: _database("mysql+pymysql"),
    ResultBackendKind.SQLITE: _database("sqlite"),
    ResultBackendKind.MONGODB: _mongodb,
    ResultBackendKind.CASSANDRA: _cassandra,
    ResultBackendKind.RPC: _rpc,
}
