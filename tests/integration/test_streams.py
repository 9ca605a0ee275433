"""Events of a stream have their effects in Redis exactly once, whatever is cut, repeated or done at the same time."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
import redis as redis_client
from containers import Container
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_contracts.streams import StreamBatch, StreamRecord, done_key
from millrace_worker.streams import run_once

PASSWORD = "integration"
ranges = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@pytest.fixture(scope="module")
def client(redis: Container) -> Iterator[redis_client.Redis]:
    url = f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/0"
    with redis_client.Redis.from_url(url, decode_responses=True) as client:
        yield client


def batch(stream: str, start: int, end: int) -> StreamBatch:
    records = [StreamRecord(offset=offset, value={}) for offset in range(start, end)]
    return StreamBatch(stream=stream, topic="t", partition=0, from_offset=start, to_offset=end, records=records)


def count_each(todo: StreamBatch, pipe: Any) -> None:
    for event in todo.records:
        pipe.hincrby(f"counts:{{{todo.stream}}}", str(event.offset), 1)


def counts(client: redis_client.Redis, stream: str) -> dict[str, str]:
    found: Any = client.hgetall(f"counts:{{{stream}}}")
    return dict(found)


@settings(max_examples=25)
@given(st.lists(ranges, min_size=1, max_size=12))
def test_overlapping_batches_and_replays_count_each_event_once(
    client: redis_client.Redis, batches: list[tuple[int, int]]
) -> None:
    stream = uuid.uuid4().hex
    for start, end in [*batches, *reversed(batches)]:
        run_once(batch(stream, start, end), client, count_each)
    covered = {offset for start, end in batches for offset in range(start, end)}
    assert counts(client, stream) == {str(offset): "1" for offset in covered}
    members: Any = client.zrange(done_key(stream, "t", 0), 0, -1)
    done = [tuple(map(int, member.split("-"))) for member in members]
    assert {offset for start, end in done for offset in range(start, end)} == covered
    assert all(left[1] < right[0] for left, right in pairwise(done))


def test_workers_that_hold_the_same_events_at_once_count_them_once(client: redis_client.Redis) -> None:
    stream = uuid.uuid4().hex
    batches = [batch(stream, start, start + 5) for start in (0, 3, 0, 3, 1, 4) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda one: run_once(one, client, count_each), batches))
    assert counts(client, stream) == {str(offset): "1" for offset in range(9)}
