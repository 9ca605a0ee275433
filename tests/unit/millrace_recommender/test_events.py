from typing import Any

import pytest

from millrace_contracts.streams import StreamRecord
from millrace_recommender.errors import EventInvalid
from millrace_recommender.events import (
    FADING,
    Event,
    History,
    read_event,
    read_history,
    read_log_fields,
    to_history_entry,
    to_log_fields,
)
from millrace_recommender.layout import HISTORY_LENGTH, SHARDS
from millrace_recommender.tasks import sorted_out

NOW = 2010.0
VALUE = {"user": "u1", "item": 7, "kind": "view", "at": 1000.5}


def record(offset: int = 0, **changes: Any) -> StreamRecord:
    value = {name: field for name, field in {**VALUE, **changes}.items() if field is not None}
    return StreamRecord(offset=offset, key="u1", timestamp_ms=2_000_000, value=value)


def test_an_event_is_read() -> None:
    assert Event(user="u1", item=7, weight=1.0, at=1000.5) == read_event(record(), now=NOW)


def test_a_purchase_says_more_than_a_view() -> None:
    assert read_event(record(kind="purchase"), now=NOW).weight > read_event(record(), now=NOW).weight


def test_an_event_without_a_time_has_that_of_its_kafka_record() -> None:
    assert read_event(record(at=None), now=NOW).at == 2000.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": ""},
        {"user": 5},
        {"item": -1},
        {"item": "7"},
        {"item": True},
        {"kind": "stare"},
        {"kind": ["view"]},
        {"at": "now"},
        {"at": float("nan")},
        {"at": NOW + 3600},
    ],
)
def test_an_event_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(EventInvalid):
        read_event(record(**wrong), now=NOW)


def test_one_bad_event_does_not_touch_its_neighbours() -> None:
    events, refused = sorted_out([record(1, at=3.0), record(2, kind="stare"), record(3, at=2.0)], now=NOW)
    assert [2.0, 3.0] == [event.at for event in events]
    assert len(refused) == 1
    assert refused[0].startswith("offset 2")


def test_redis_gives_back_what_it_was_given() -> None:
    event = Event(user="u1", item=7, weight=3.0, at=1000.125)
    fields = {str(name): str(value) for name, value in to_log_fields(event).items()}
    assert event == read_log_fields(fields)
    assert History(items=(7,), weights=(3.0,), last_at=1000.125) == read_history([to_history_entry(event)])


def test_a_history_has_each_item_once_and_older_ones_count_less() -> None:
    history = read_history(["1 1 12.000", "2 1 11.000", "1 1 10.000"])
    assert (1, 2) == history.items
    assert (1 + FADING**2, FADING) == history.weights


def test_a_history_is_bounded() -> None:
    assert HISTORY_LENGTH == len(read_history([f"{item} 1 1.0" for item in range(100)]).items)


def test_users_are_spread_over_all_shards() -> None:
    shards = {Event(user=f"u{i}", item=0, weight=1, at=0).shard for i in range(100)}
    assert {str(shard) for shard in range(SHARDS)} == shards
