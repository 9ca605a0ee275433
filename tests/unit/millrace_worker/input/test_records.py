"""How records are named, and which of their fields a model gets."""

from pathlib import Path
from typing import Any

import pytest

from millrace_contracts.inputs import InlineShard, Reading, Shard
from millrace_contracts.results import RecordFailure
from millrace_worker.input.read import read_shard
from millrace_worker.input.record import Record, name_all, name_together
from millrace_worker.input.sources import Sources
from millrace_worker.storage.claims import Claims


def inline(values: list[dict[str, Any]], key_field: str = "") -> list[Record | RecordFailure]:
    shard = Shard(index=1, first_line=3, record_count=len(values), source=InlineShard(records=values))
    return read_shard(shard, Reading(key_field=key_field), sources=Sources(Claims(Path("/none"))))


def test_inline_records_are_named_by_their_place_in_the_job() -> None:
    assert [Record("inline:3", 3, {"x": 1}), Record("inline:4", 4, {"x": 2})] == inline([{"x": 1}, {"x": 2}])


def test_the_key_of_a_record_is_the_text_of_its_key_field() -> None:
    records = inline([{"id": 7}, {"id": "a"}, {"id": 1.5}, {"id": True}, {"id": None}, {}], "id")
    assert ["7", "a", "1.5", "inline:6", "inline:7", "inline:8"] == [record.key for record in records]
    assert [True, True, True, False, False, False] == [isinstance(record, Record) for record in records]


def test_a_key_that_was_used_before_fails_its_second_record() -> None:
    first, second, third = inline([{"id": 7}, {"id": "7"}, {"id": 8}], "id")
    assert isinstance(second, RecordFailure)
    assert ("7", "inline:4", "8") == (first.key, second.key, third.key)
    assert ("DuplicateKey", 'the name "7" was used on line 3 before') == (second.error.code, second.error.message)


@pytest.mark.parametrize("values", [[{"id": 1}, {"id": 2}], [{"id": "a"}, {"id": 2}], [{"id": 1}, {"id": "1"}], [{}]])
def test_records_that_are_named_together_have_the_names_that_each_would_have(values: list[dict[str, Any]]) -> None:
    together = name_together(values, range(1, 1 + len(values)), origin="f", key_field="id")
    one_by_one = name_all([(i, value, None) for i, value in enumerate(values, 1)], origin="f", key_field="id")
    assert together in (None, one_by_one)
