"""What a caller may ask for, and the sentence for each thing that is wrong."""

from typing import Any

import pytest

from millrace_gateway.asked import Asked, find_model, read_asked, read_wait
from millrace_gateway.errors import NotFound, RequestInvalid
from millrace_gateway.settings import Config

CONFIG = Config.model_validate(
    {
        "models": [
            {"name": "scorer", "queue": "fast", "batchQueue": "slow", "version": "3"},
            {"name": "other", "queue": "fast"},
        ],
        "maxRecordsPerRequest": 3,
    }
)


def read(body: Any, model: str = "scorer") -> Asked:
    return read_asked(body, find_model(model, CONFIG), CONFIG, now=100.0, trace="")


def test_one_record_is_what_stands_under_inputs() -> None:
    assert [{"x": [1]}] == [record.value for record in read({"inputs": {"x": [1]}}).records]


def test_a_record_is_kept_as_the_text_that_goes_into_the_message() -> None:
    assert '{"x":"é"}' == read({"inputs": {"x": "é"}}).records[0].text


@pytest.mark.parametrize(("priority", "queue"), [("realtime", "fast"), ("batch", "slow")])
def test_the_priority_chooses_the_queue(priority: str, queue: str) -> None:
    assert queue == read({"inputs": {}, "priority": priority}).queue


def test_the_version_of_the_config_is_asked_for_where_the_caller_names_none() -> None:
    assert "3" == read({"inputs": {}}).version
    assert "4" == read({"inputs": {}, "version": "4"}).version


def test_a_deadline_counts_from_now() -> None:
    assert 100.5 == read({"inputs": {}, "deadlineSeconds": 0.5}).deadline


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "must be an object"),
        ({}, 'exactly one of "inputs"'),
        ({"inputs": {}, "records": [{}]}, 'exactly one of "inputs"'),
        ({"input": {}}, 'no field "input"'),
        ({"inputs": [1]}, '"inputs" must be an object'),
        ({"records": []}, '"records" must be a list'),
        ({"records": [{}, 1]}, r'"records\[1\]"'),
        ({"records": [{}] * 4}, "3 are the limit"),
        ({"inputs": {"x": float("inf")}}, '"inputs" holds a value'),
        ({"records": [{}, {"x": "\ud800"}]}, r'"records\[1\]" holds a value'),
        ({"inputs": {}, "priority": "urgent"}, '"priority" must be'),
        ({"inputs": {}, "version": 3}, '"version" must be'),
        ({"inputs": {}, "version": "../1"}, '"version" must be'),
        ({"inputs": {}, "cache": "yes"}, '"cache" must be'),
        ({"inputs": {}, "deadlineSeconds": 0}, '"deadlineSeconds" must be'),
        ({"inputs": {}, "deadlineSeconds": True}, '"deadlineSeconds" must be'),
        ({"inputs": {}, "parameters": {"a": [1]}}, '"parameters.a" must be'),
    ],
)
def test_what_is_wrong_is_named(body: Any, says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        read(body)


def test_priority_batch_needs_a_queue_of_its_own() -> None:
    with pytest.raises(RequestInvalid, match="has no queue for priority"):
        read({"inputs": {}, "priority": "batch"}, "other")


def test_an_unknown_model_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(NotFound, match="there is: other, scorer"):
        find_model("nosuch", CONFIG)


@pytest.mark.parametrize("text", ["-1", "61", "nan", "inf", "long"])
def test_a_wait_is_bounded(text: str) -> None:
    with pytest.raises(RequestInvalid, match="wait must be"):
        read_wait(text)
