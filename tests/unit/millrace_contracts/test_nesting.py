"""What is nested too deep is known without reading it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.nesting import MAX_NESTING, is_too_deep

VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a[]{}"\\'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='["{'), inner, max_size=3),
    max_leaves=12,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, inside), default=0)
    return 0


@given(VALUES, st.integers(0, 5))
def test_text_is_too_deep_exactly_when_it_has_more_levels(value: Any, levels: int) -> None:
    assert (depth_of(value) > levels) == is_too_deep(json.dumps(value).encode(), levels=levels)


def test_the_limit_itself_is_allowed() -> None:
    at_the_limit = b"[" * MAX_NESTING + b"]" * MAX_NESTING
    assert [False, True] == [is_too_deep(at_the_limit), is_too_deep(b"[" + at_the_limit + b"]")]


def test_broken_text_with_few_brackets_is_left_to_whoever_reads_it() -> None:
    assert [False, False] == [is_too_deep(b"{not json"), is_too_deep(b']["{')]
