"""A message that is made without Celery is the message that Celery makes."""

import json
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from pydantic import SecretStr

from millrace_contracts.predictions import PREDICT
from millrace_contracts.wire import task_message
from millrace_worker.app import create_app
from millrace_worker.settings import WorkerSettings

KWARGS = {"payload": {"model": {"name": "m"}, "items": [{"id": "1", "record": {"text": "süß"}}]}}


@pytest.fixture
def app(tmp_path: Path) -> Celery:
    settings = WorkerSettings(broker_url=SecretStr("amqp://"), redis_url=SecretStr("redis://"), state_dir=tmp_path)
    return create_app(settings)


def celery_message(app: Celery, **options: Any) -> Any:
    return app.amqp.as_task_v2("id-1", PREDICT, kwargs=KWARGS, ignore_result=True, **options)


def test_its_headers_are_celerys(app: Celery) -> None:
    theirs = celery_message(app, origin="me").headers
    ours = task_message(PREDICT, task_id="id-1", kwargs=KWARGS, origin="me").headers
    # What is shown of the arguments must not hold records; the rest Celery fills in with what it takes by default.
    left_out = {"argsrepr", "kwargsrepr", "group_index", "replaced_task_nesting", "stamped_headers", "stamps"}
    assert {name: value for name, value in theirs.items() if name not in left_out} == {
        name: value for name, value in ours.items() if name not in left_out
    }


def test_its_body_and_properties_are_celerys(app: Celery) -> None:
    theirs = celery_message(app)
    ours = task_message(PREDICT, task_id="id-1", kwargs=KWARGS)
    assert json.loads(json.dumps(theirs.body)) == json.loads(ours.body)
    assert theirs.properties["correlation_id"] == ours.properties["correlation_id"]


def test_it_expires_as_celerys_does(app: Celery) -> None:
    theirs = celery_message(app, expires="2030-01-01T00:00:00+00:00").headers
    ours = task_message(PREDICT, task_id="id-1", kwargs=KWARGS, expires="2030-01-01T00:00:00+00:00").headers
    assert theirs["expires"] == ours["expires"]


def test_no_record_is_shown_to_those_who_watch_tasks() -> None:
    headers = task_message(PREDICT, task_id="id-1", kwargs=KWARGS).headers
    assert "süß" not in json.dumps(headers, ensure_ascii=False)
