"""One JSON object a line: what is a record, and what is said of a line that is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_worker.input import jsonl
from millrace_worker.input.record import Parsed


def parse(line: bytes) -> Parsed:
    (parsed,) = jsonl.parse_lines(line, first_line=1)
    return parsed


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "the line is not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b'{"a": [1, 2,\r', "the line is not JSON: Expecting value at column 13"),
        (b"[1]", "the line is not a JSON object but a list"),
        (b"null", "the line is not a JSON object but null"),
        (b'{"a": NaN}', "the line is not JSON: NaN is not a number there"),
        (b'{"a": "\xff"}', "the line is not UTF-8: invalid start byte at byte 8"),
        (b'{"a": ' + b"[" * 100_000, "the line is nested deeper than 64 levels"),
        (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", "the line is nested deeper than 64 levels"),
    ],
)
def test_a_malformed_line_says_what_is_wrong(line: bytes, problem: str) -> None:
    _, _, found = parse(line)
    assert found is not None
    assert ("MalformedJSON", problem) == found


def test_a_malformed_line_keeps_its_text() -> None:
    assert '{"x": 1' == parse(b'{"x": 1\r')[1]


def test_a_malformed_line_leaves_its_neighbours_alone() -> None:
    parsed = jsonl.parse_lines(b'{"a": 1}\nbad\n\n{"a": 2}\n', first_line=5)
    assert [(5, {"a": 1}), (6, "bad"), (8, {"a": 2})] == [(line, value) for line, value, _ in parsed]


def test_a_byte_order_mark_is_no_part_of_the_record() -> None:
    assert {"a": 1} == parse(b'\xef\xbb\xbf{"a": 1}')[1]


def test_integers_of_any_length_stay_exact() -> None:
    assert {"a": 12345678901234567890123} == parse(b'{"a": 12345678901234567890123}')[1]
    assert jsonl.parse_together(b'{"a": 12345678901234567890123}\n') is None


def test_brackets_in_text_are_no_levels() -> None:
    record = {"a": "[" * 500}
    assert record == parse(json.dumps(record).encode())[1]


def test_a_line_that_is_too_long_shows_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 16)
    monkeypatch.setattr(jsonl, "SHOWN_BYTES", 8)
    first, second = jsonl.parse_lines(b'{"a": 1}\n{"a": "0123456789"}\n', first_line=1)
    assert (1, {"a": 1}, None) == first
    assert (2, '{"a": "0') == second[:2]
    assert "is longer than" in str(second[2])


@pytest.mark.parametrize("half", ["\\ud800", "\\uDFFF", "a\\ud83d", "\\ude00\\ud83d"])
def test_half_of_a_surrogate_pair_is_refused_in_a_key_and_in_a_value(half: str) -> None:
    for line in (f'{{"{half}": 1}}', f'{{"x": ["{half}"]}}'):
        assert "half of a surrogate pair" in str(parse(line.encode())[2])


@given(st.dictionaries(st.text(), st.text()))
def test_all_text_is_read_as_it_was_whether_escaped_or_not(record: dict[str, str]) -> None:
    assert record == parse(json.dumps(record).encode())[1]
    assert record == parse(json.dumps(record, ensure_ascii=False).encode())[1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=5))
def test_the_fast_way_reads_what_the_slow_way_reads(records: list[dict[str, Any]]) -> None:
    data = "".join(f"{json.dumps(record)}\n" for record in records).encode()
    slowly = [jsonl.parse(line) for line in data.splitlines()]
    assert slowly == [value for _, value, _ in jsonl.parse_lines(data, first_line=1)]
    assert jsonl.parse_together(data) in (None, slowly)
