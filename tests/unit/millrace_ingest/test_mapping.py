"""What a Kafka record becomes: the JSON of a StreamRecord, or the reason why not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.streams import StreamRecord
from millrace_ingest.mapping import MAX_RECORD_BYTES, Mapper, Raw, Unusable

EVENT = {"user": {"id": "u1"}, "items": [{"id": 7}, {"id": 8}], "kind": "view", "none": None}

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def raw(value: Any = None, *, key: bytes | None = b"k") -> Raw:
    encoded = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return Raw(offset=5, key=key, value=encoded, timestamp_ms=1_700_000_000_000)


def mapped(raw_record: Raw, **mapping: Any) -> StreamRecord:
    answer = Mapper(**{"fields": {}, **mapping}).map(raw_record)
    assert isinstance(answer, bytes), answer
    return StreamRecord.model_validate_json(answer, strict=True)


def reason(raw_record: Raw, **mapping: Any) -> str:
    answer = Mapper(**{"fields": {}, **mapping}).map(raw_record)
    assert isinstance(answer, Unusable)
    return answer.reason


def test_without_fields_the_whole_object_is_delivered() -> None:
    assert StreamRecord(offset=5, key="k", timestamp_ms=1_700_000_000_000, value=EVENT) == mapped(raw(EVENT))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("kind", "view"),
        ("user.id", "u1"),
        ("items.1.id", 8),
        ("none", None),
        ("$key", "k"),
        ("$timestamp", 1_700_000_000_000),
        ("$value", EVENT),
    ],
)
def test_a_field_comes_from_where_the_mapping_says(source: str, expected: object) -> None:
    assert {"made": expected} == mapped(raw(EVENT), fields={"made": source}).value


@pytest.mark.parametrize("source", ["absent", "user.id.deeper", "items.2", "items.id", "kind.0"])
def test_a_path_that_ends_early_leaves_the_field_out(source: str) -> None:
    assert {"kind": "view"} == mapped(raw(EVENT), fields={"made": source, "kind": "kind"}).value


@pytest.mark.parametrize("required", ["absent", "none"])
def test_a_record_without_a_required_field_is_refused_and_the_reason_names_it(required: str) -> None:
    assert f"required fields are missing: {required}" == reason(raw(EVENT), required=["kind", required])


def test_a_key_field_names_the_record_in_place_of_the_key() -> None:
    assert "42" == mapped(raw({"item": 42}, key=b"\xff"), key_field="item").key


@pytest.mark.parametrize("key", [None, True, 1.5, ["a"]])
def test_a_key_field_that_is_neither_text_nor_a_whole_number_is_refused(key: object) -> None:
    assert "neither text nor a whole number" in reason(raw({"item": key}), key_field="item")


def test_a_key_that_is_not_text_is_refused_with_the_way_out() -> None:
    assert "set keyField" in reason(raw(EVENT, key=b"\xff\xfe"))


def test_a_record_without_a_value_is_refused_by_default() -> None:
    assert "the record has no value" == reason(raw(None))


def test_a_tombstone_that_is_wanted_says_that_its_key_is_deleted() -> None:
    tombstone = mapped(raw(None), delivers_tombstones=True, required=["kind"], key_field="item")
    assert ("k", {"deleted": True}) == (tombstone.key, tombstone.value)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b"[1]",
        b'"text"',
        b"null",
        b'{"x": NaN}',
        b'{"x": -Infinity}',
        b'{"x": 1e999}',
        b'{"x": "\\ud800"}',
        b'{"x": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_is_not_a_json_object_is_refused_and_the_reason_does_not_show_it(value: bytes) -> None:
    assert reason(raw(value)).startswith("the value ")


def test_a_record_that_fits_no_message_is_refused() -> None:
    assert f"at most {MAX_RECORD_BYTES} fit" in reason(raw({"x": "y" * MAX_RECORD_BYTES}))


@given(value=st.binary() | any_json.map(lambda value: json.dumps(value).encode()), key=st.none() | st.binary())
def test_whatever_the_bytes_are_a_record_or_a_reason_comes_of_them(value: bytes, key: bytes | None) -> None:
    for mapping in ({}, {"fields": {"a": "a.0", "b": "$value"}, "required": ["b"]}, {"key_field": "id"}):
        answer = Mapper(**{"fields": {}, **mapping}).map(raw(value, key=key))  # type: ignore[arg-type] # mixed
        if not isinstance(answer, Unusable):
            assert 5 == StreamRecord.model_validate_json(answer).offset


@given(st.dictionaries(st.text(), any_json))
def test_a_value_arrives_as_it_was(value: dict[str, Any]) -> None:
    assert value == mapped(raw(value)).value


def test_a_value_that_is_nested_too_deep_for_the_processes_behind_is_of_no_use() -> None:
    mapper = Mapper(fields={})
    deep = b'{"x": ' + b"[" * 700 + b"]" * 700 + b"}"
    assert Unusable("the value is nested deeper than 32 levels") == mapper.map(
        Raw(offset=0, key=None, value=deep, timestamp_ms=None)
    )
