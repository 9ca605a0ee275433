"""A line whose text cannot be written again is a malformed line; every other escape is text as before."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_worker.storage import jsonl


@pytest.mark.parametrize("half", ["\\ud800", "\\uDFFF", "a\\ud83d", "\\ude00\\ud83d"])
def test_half_of_a_surrogate_pair_is_refused_in_a_key_and_in_a_value(half: str) -> None:
    for line in (f'{{"{half}": 1}}', f'{{"x": ["{half}"]}}'):
        with pytest.raises(ValueError, match="half of a surrogate pair"):
            jsonl.parse(line.encode())


@given(st.dictionaries(st.text(), st.text()))
def test_all_text_is_read_as_it_was_whether_escaped_or_not(record: dict[str, str]) -> None:
    assert record == jsonl.parse(json.dumps(record).encode())
    assert record == jsonl.parse(json.dumps(record, ensure_ascii=False).encode())
