"""The Celery app: settings on which no lost and no doubly counted prediction depends."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from millrace_contracts.tasks import FINALIZE, PLAN, PREDICT_SHARD, RUN_PIPELINE, SUBMIT_JOB
from millrace_worker import app as app_module
from millrace_worker import topology
from millrace_worker.app import create_app
from millrace_worker.errors import SettingsInvalid
from millrace_worker.settings import WorkerSettings, read_settings


def settings(tmp_path: Path, **others: Any) -> WorkerSettings:
    return WorkerSettings(
        broker_url=SecretStr("amqp://worker:pw@127.0.0.1:1/millrace"),
        redis_url=SecretStr("redis://:pw@127.0.0.1:1/0"),
        queue="digits",
        state_dir=tmp_path,
        **others,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("task_acks_on_timeout", False),
        ("task_acks_on_failure", False),
        ("worker_prefetch_multiplier", 1),
        ("accept_content", ["json"]),
        ("broker_transport_options", {"confirm_publish": True}),
        ("task_create_missing_queues", False),
        ("broker_connection_max_retries", None),
    ],
)
def test_the_app_is_set_so_that_no_task_is_lost(tmp_path: Path, name: str, value: Any) -> None:
    assert create_app(settings(tmp_path)).conf[name] == value


def test_the_worker_has_one_queue_and_it_is_a_quorum_queue_on_the_topic_exchange(tmp_path: Path) -> None:
    (queue,) = create_app(settings(tmp_path)).conf.task_queues
    assert (queue.name, queue.routing_key, queue.exchange.name, queue.exchange.type) == (
        *("digits", "digits"),
        *("millrace", "topic"),
    )
    assert queue.queue_arguments == {"x-queue-type": "quorum"}


def test_the_dead_letter_queue_also_takes_tasks_that_were_delayed() -> None:
    (binding,) = topology.dead_letter_queue("digits").bindings
    assert (binding.exchange.name, binding.routing_key) == ("millrace.dead", "#.digits")


def test_the_app_has_the_tasks_of_the_contract(tmp_path: Path) -> None:
    names = {name for name in create_app(settings(tmp_path)).tasks if name.startswith("millrace.")}
    assert {PLAN, PREDICT_SHARD, FINALIZE, RUN_PIPELINE, SUBMIT_JOB} <= names


def test_a_task_of_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_REDIS_URL", "redis://:hunter2@h:1/0")
    monkeypatch.setenv("MILLRACE_CONCURRENCY", "hunter2")
    monkeypatch.delenv("MILLRACE_BROKER_URL", raising=False)
    with pytest.raises(SettingsInvalid) as caught:
        read_settings()
    assert "MILLRACE_BROKER_URL: Field required" in str(caught.value)
    assert "MILLRACE_CONCURRENCY" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_soft_limit_beyond_the_hard_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be less than"):
        settings(tmp_path, task_soft_time_limit_seconds=900, task_time_limit_seconds=900)


def test_the_module_has_an_app_only_where_there_is_an_environment() -> None:
    with pytest.raises(AttributeError):
        _ = app_module.nothing


def test_schedules_are_read_with_their_queues(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    entries = [
        {"name": "nightly", "task": "a.b", "queue": "reports", "cron": "0 2 * * *", "kwargs": {"x": 1}},
        {"name": "often", "task": "a.c", "queue": "system", "everySeconds": 30},
    ]
    file.write_text(json.dumps(entries))
    conf = create_app(settings(tmp_path, beat_schedule_file=file)).conf
    assert {queue.name for queue in conf.task_queues} == {"digits", "reports", "system"}
    nightly, often = conf.millrace_schedule
    assert (nightly.cron, nightly.task.queue, nightly.task.kwargs) == ("0 2 * * *", "reports", {"x": 1})
    assert often.every_seconds == 30


@pytest.mark.parametrize("timing", [{}, {"cron": "* * * * *", "everySeconds": 1}, {"cron": "soon"}])
def test_a_schedule_without_one_valid_time_is_refused_by_name(tmp_path: Path, timing: dict[str, Any]) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps([{"name": "nightly", "task": "a.b", "queue": "q", **timing}]))
    with pytest.raises(SettingsInvalid, match='"nightly"'):
        create_app(settings(tmp_path, beat_schedule_file=file))
