"""Entries of the schedule: their forms, and what their ticks send."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from millrace_contracts.pipelines import RunPipeline
from millrace_contracts.schedules import NAME_PATTERN, ScheduleEntry, SubmitJobTask, run_id
from millrace_worker.errors import SettingsInvalid
from millrace_worker.schedule.outgoing import outgoing
from millrace_worker.schedule.values import read_entries

NOON = 1_764_000_000.9
TASK = {"task": {"name": "a.b", "queue": "reports", "kwargs": {"x": 1}}}
PIPELINE = {"pipeline": {"name": "recommender", "parameters": {"days": 7}}}
JOB = {"jobTemplate": {"metadata": {"name": "nightly-scores"}, "spec": {"model": {"name": "digits"}}}}


def entry(**values: Any) -> ScheduleEntry:
    return ScheduleEntry.model_validate({"name": "nightly", "everySeconds": 60, **values})


def test_the_short_form_of_a_task_means_the_same() -> None:
    short = entry(task="a.b", queue="reports", kwargs={"x": 1})
    assert entry(**TASK) == short


@pytest.mark.parametrize("target", [TASK, PIPELINE, JOB])
def test_an_entry_survives_its_json(target: dict[str, Any]) -> None:
    written = entry(**target).model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
    assert entry(**target) == ScheduleEntry.model_validate_json(written)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "exactly one of task, pipeline and jobTemplate"),
        (TASK | PIPELINE, "exactly one of task, pipeline and jobTemplate"),
        (TASK | {"cron": "0 2 * * *"}, "exactly one of cron and everySeconds"),
        (TASK | {"timeZone": "Europe/Berlin"}, "timeZone belongs to cron"),
        (TASK | {"everySeconds": 0.5}, "greater than or equal to 1"),
        (JOB | {"everySeconds": 59}, "at least 60"),
        (TASK | {"name": ":lock"}, "pattern"),
        (TASK | {"solar": "sunset"}, "Extra inputs"),
        ({"jobTemplate": {"metadata": {"name": "Not_A_Name"}, "spec": {}}}, "lower case"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        entry(**values)


def test_a_task_is_sent_as_it_stands_under_the_name_of_its_tick() -> None:
    sent = outgoing(entry(**TASK), NOON)
    assert ("a.b", {"x": 1}, "reports", "nightly-1764000000") == (sent.task, sent.kwargs, sent.queue, sent.task_id)
    assert sent.may_be_sent_twice is False


def test_the_same_tick_of_a_pipeline_is_the_same_run() -> None:
    sent = outgoing(entry(**PIPELINE), NOON, system_queue="system")
    expected = RunPipeline(
        pipeline="recommender", run_id="nightly-1764000000", parameters={"days": 7}, requested_by="schedule nightly"
    )
    assert ("system", "nightly-1764000000") == (sent.queue, sent.task_id)
    assert expected == RunPipeline.model_validate(sent.kwargs["payload"])
    assert sent == outgoing(entry(**PIPELINE), NOON, system_queue="system")


def test_a_job_is_named_after_the_minute_of_its_tick() -> None:
    sent = outgoing(entry(**JOB), NOON)
    task = SubmitJobTask.model_validate(json.loads(json.dumps(sent.kwargs["payload"])))
    assert "nightly-scores-29400000" == task.job_name


@given(st.lists(st.from_regex(NAME_PATTERN, fullmatch=True).filter(str.isascii), min_size=2, max_size=2, unique=True))
def test_ticks_of_two_schedules_never_share_a_name(names: list[str]) -> None:
    first, second = (run_id(name, 1_764_000_000) for name in names)
    assert first != second


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "schedule.json"
    file.write_text(json.dumps([{"name": "nightly", "everySeconds": 5, **TASK}] * 2))
    with pytest.raises(SettingsInvalid, match="nightly"):
        read_entries(file)
