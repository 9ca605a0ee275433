"""Brokers and result backends as settings: what Celery is told, and which combinations are refused at start."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from millrace_worker import topology
from millrace_worker.app import create_app
from millrace_worker.broker import dead_letters, kinds
from millrace_worker.broker.kinds import BrokerKind, Capabilities, ResultBackendKind, capabilities
from millrace_worker.broker.redelivery_counts import RedeliveryCounts
from millrace_worker.settings import WorkerSettings

DOCUMENT = Path(__file__).parents[3] / "docs" / "brokers.md"
URLS = {
    BrokerKind.RABBITMQ: "amqp://u:hunter2@h/v",
    BrokerKind.REDIS: "redis://:hunter2@h/1",
    BrokerKind.SQS: "sqs://k:hunter2@h:9324//",
}


def settings(kind: BrokerKind, **others: Any) -> WorkerSettings:
    state = SecretStr("redis://:hunter2@h/0")
    url = SecretStr(others.pop("url", URLS[kind]))
    return WorkerSettings(broker_kind=kind, broker_url=url, redis_url=state, state_dir=Path("x"), **others)


def test_the_documentation_has_the_table_of_what_each_broker_can_do() -> None:
    assert kinds.table() in DOCUMENT.read_text()


def test_every_capability_has_its_words() -> None:
    assert [one.name for one in fields(Capabilities)] == list(kinds.WHAT)


@pytest.mark.parametrize("kind", [BrokerKind.REDIS, BrokerKind.SQS])
def test_only_rabbitmq_has_an_exchange_and_quorum_queues(kind: BrokerKind) -> None:
    app = create_app(settings(kind, queue="digits"))
    (queue,) = app.conf.task_queues
    assert ("", "digits", None) == (queue.exchange.name, queue.routing_key, queue.queue_arguments)
    assert "confirm_publish" not in app.conf.broker_transport_options
    assert topology.dead_letter_queue("digits", kind=kind).name == "digits.dead"


@pytest.mark.parametrize("kind", [BrokerKind.REDIS, BrokerKind.SQS])
def test_no_task_comes_again_while_it_may_still_run(kind: BrokerKind) -> None:
    conf = create_app(settings(kind, task_time_limit_seconds=900)).conf
    assert conf.broker_transport_options["visibility_timeout"] > conf.task_time_limit


def test_on_sqs_there_are_no_events_and_no_remote_control() -> None:
    conf = create_app(settings(BrokerKind.SQS)).conf
    off = (conf.worker_send_task_events, conf.task_send_sent_event, conf.worker_enable_remote_control)
    assert (False, False, False) == off


def test_events_that_the_command_line_asks_for_are_not_sent_on_sqs() -> None:
    app = create_app(settings(BrokerKind.SQS))
    dispatcher = app.events.Dispatcher(None, hostname="h", enabled=True)
    dispatcher.enable()
    assert dispatcher.enabled is False


@pytest.mark.parametrize("broker", list(BrokerKind))
@pytest.mark.parametrize("said", list(BrokerKind))
def test_a_url_of_another_kind_is_refused_without_being_shown(broker: BrokerKind, said: BrokerKind) -> None:
    if broker is said:
        assert settings(said).broker_kind is said
        return
    with pytest.raises(ValidationError, match=f"BROKER_KIND is {said}, so BROKER_URL must begin with") as caught:
        settings(said, url=URLS[broker])
    assert all("hunter2" not in problem["msg"] for problem in caught.value.errors())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"result_backend_kind": "postgresql"}, "RESULT_BACKEND_URL must begin with postgresql://"),
        ({"result_backend_kind": "rpc", "result_backend_url": "redis://h/0"}, "leave RESULT_BACKEND_URL empty"),
        ({"visibility_timeout_seconds": 900}, "must be more than TASK_TIME_LIMIT_SECONDS"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(BrokerKind.REDIS, **values)


def test_results_cannot_come_back_through_sqs() -> None:
    with pytest.raises(ValidationError, match="reply queues"):
        settings(BrokerKind.SQS, result_backend_kind="rpc")


def test_a_pipeline_cannot_run_where_results_know_no_chords() -> None:
    (why,) = kinds.refusals(
        broker=BrokerKind.RABBITMQ,
        broker_url="amqp://h",
        results=ResultBackendKind.RPC,
        results_url="",
        has_pipelines=True,
    )
    assert "chords" in why


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        ("redis", "redis://h/3", "redis://h/3"),
        ("postgresql", "postgresql://u:p@h/d", "db+postgresql+psycopg://u:p@h/d"),
        ("mysql", "mariadb://u:p@h/d", "db+mysql+pymysql://u:p@h/d"),
        ("sqlite", "sqlite:////data/r.db", "db+sqlite:////data/r.db"),
        ("mongodb", "mongodb://h/d", "mongodb://h/d"),
        ("cassandra", "cassandra://u:p%40@a,b:9043/k", "cassandra://"),
        ("rpc", None, "millrace_worker.results:RpcBackend"),
    ],
)
def test_each_result_backend_is_told_to_celery_in_its_words(kind: str, url: str | None, expected: str) -> None:
    conf = create_app(settings(BrokerKind.RABBITMQ, result_backend_kind=kind, result_backend_url=url)).conf
    assert expected == conf.result_backend
    if kind == "cassandra":
        assert (["a", "b"], 9043, "k") == (conf.cassandra_servers, conf.cassandra_port, conf.cassandra_keyspace)
        assert {"username": "u", "password": "p@"} == conf.cassandra_auth_kwargs


def test_each_kind_says_whether_the_gateway_works_with_it() -> None:
    assert [True, False, False] == [capabilities(kind).gateway_and_ingest.is_there for kind in BrokerKind]


@dataclass
class Message:
    """A message as kombu hands it over."""

    headers: dict[str, Any] = field(default_factory=dict)
    delivery_info: dict[str, Any] = field(default_factory=lambda: {"routing_key": "digits"})
    properties: dict[str, Any] = field(default_factory=dict)
    body: bytes = b"[]"
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    done: list[str] = field(default_factory=list)

    def ack(self) -> None:
        """Note it."""
        self.done.append("acked")

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Note it."""
        self.done.append("requeued" if requeue else "forgotten")


def test_a_message_is_acked_only_after_its_copy_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message()
    monkeypatch.setattr(dead_letters, "_publish_copy", lambda kept, _: kept.done.append("kept"))
    dead_letters.keep_rejected(message, app=None)
    message.reject()
    message.reject(requeue=True)
    assert ["kept", "acked", "requeued"] == message.done


def test_a_copy_that_is_not_taken_leaves_the_message_with_its_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionError

    message = Message()
    monkeypatch.setattr(dead_letters, "_publish_copy", refuse)
    dead_letters.keep_rejected(message, app=None)
    with pytest.raises(ConnectionError):
        message.reject()
    assert [] == message.done


def test_receives_of_sqs_count_as_deliveries() -> None:
    info = {"sqs_message": {"Attributes": {"ApproximateReceiveCount": "3"}}}
    assert 2 == RedeliveryCounts(BrokerKind.SQS, redis_url="redis://h").of(Message(delivery_info=info))


def test_what_cannot_be_counted_is_not_given_up() -> None:
    again = Message(headers={"id": "t"}, delivery_info={"redelivered": True})
    assert 1 == RedeliveryCounts(BrokerKind.REDIS, redis_url="redis://127.0.0.1:1/0").of(again)
