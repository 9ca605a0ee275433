"""An entry of the cache is named by what decides the answer, and by nothing else."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from millrace_contracts.predictions import cache_key
from millrace_gateway.flights import FlightKey

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=2), inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(st.text("xyz", min_size=1, max_size=2), values, max_size=4)


@given(record=records)
def test_the_order_of_fields_does_not_matter(record: dict[str, Any]) -> None:
    turned = dict(reversed(record.items()))
    assert cache_key("m", "1", record, {"a": 1, "b": 2}) == cache_key("m", "1", turned, {"b": 2, "a": 1})


@given(first=records, second=records)
def test_different_records_have_different_entries(first: dict[str, Any], second: dict[str, Any]) -> None:
    # Python takes 1, 1.0 and True for equal; a model may not.
    assume(repr(sorted(first.items(), key=str)) != repr(sorted(second.items(), key=str)))
    assume(first != second)
    assert cache_key("m", "1", first, {}) != cache_key("m", "1", second, {})


def test_each_part_of_the_key_counts() -> None:
    keys = {
        cache_key("m", "1", {"x": 1}, {}),
        cache_key("n", "1", {"x": 1}, {}),
        cache_key("m", "2", {"x": 1}, {}),
        cache_key("m", "1", {"x": 1.5}, {}),
        cache_key("m", "1", {"x": 1}, {"top": 1}),
    }
    assert 5 == len(keys)


def test_a_computation_is_shared_only_by_those_who_ask_the_same_queue_for_the_same_version() -> None:
    leases = {FlightKey("key", queue, version).lease for queue in ("a", "b") for version in ("", "1")}
    assert 4 == len(leases)
