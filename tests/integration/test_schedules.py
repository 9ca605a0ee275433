"""Schedules in Redis: who owns an entry, what a change does to its next tick, and that a tick is claimed once."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis as redis_client
from containers import Container
from redis.backoff import NoBackoff
from redis.retry import Retry

from millrace_contracts.schedules import Origin, ScheduleEntry, ScheduleKeys, TaskTarget
from millrace_operator.observation.beat_entries import BeatEntries
from millrace_worker.errors import ScheduleInvalid, ScheduleNotFound, ScheduleOwned, ScheduleStoreUnavailable
from millrace_worker.schedule import store

NOON = 1_764_000_000.0
HOUR = 3600.0


@pytest.fixture
def client(redis: Container) -> Iterator[redis_client.Redis]:
    """A database of its own, empty."""
    url = f"redis://:integration@127.0.0.1:{redis.ports[6379]}/9"
    with redis_client.Redis.from_url(url, decode_responses=True) as connected:
        connected.flushdb()
        yield connected


def entry(name: str = "hourly", *, every: float = HOUR, is_enabled: bool = True) -> ScheduleEntry:
    target = TaskTarget(name="a.b", queue="reports", kwargs={"x": 1})
    return ScheduleEntry(name=name, every_seconds=every, enabled=is_enabled, task=target)


def save(client: redis_client.Redis, scheduled: ScheduleEntry, *, at: float = NOON) -> None:
    store.save(client, scheduled, now=lambda: at)


def send(client: redis_client.Redis, name: str, tick: float) -> None:
    """Do what Beat does at a tick."""
    stored = store.load(client, ScheduleKeys.entry(name))
    token = store.claim(client, stored, tick)
    assert token is not None
    store.finish(client, stored, token)


def test_an_entry_made_at_run_time_is_listed_with_its_last_and_next_run(client: redis_client.Redis) -> None:
    save(client, entry())
    before = store.get_entry(client, "hourly")
    send(client, "hourly", NOON + HOUR)
    (after,) = store.list_entries(client)

    assert (Origin.USER, None, NOON + HOUR, 0) == (
        before.origin, before.last_run_at, before.next_run_at, before.total_runs
    )  # fmt: skip
    assert (NOON + HOUR, NOON + 2 * HOUR, 1) == (after.last_run_at, after.next_run_at, after.total_runs)


def test_an_entry_of_the_values_is_changed_there_only(client: redis_client.Redis) -> None:
    store.install(client, [entry()], now=NOON)

    with pytest.raises(ScheduleOwned, match="values"):
        save(client, entry(every=5))
    with pytest.raises(ScheduleOwned):
        store.remove(client, "hourly")
    with pytest.raises(ScheduleOwned):
        store.set_enabled(client, "hourly", is_enabled=False)
    assert entry() == store.get_entry(client, "hourly").entry


def test_an_upgrade_removes_what_left_the_values_and_nothing_of_users(client: redis_client.Redis) -> None:
    store.install(client, [entry("old"), entry("kept")], now=NOON)
    save(client, entry("mine"))
    store.install(client, [entry("kept"), entry("new")], now=NOON + 1)
    assert ["kept", "mine", "new"] == [state.entry.name for state in store.list_entries(client)]


def test_values_take_over_a_name_that_a_user_has_and_say_so(client: redis_client.Redis) -> None:
    save(client, entry())
    assert ["hourly"] == store.install(client, [entry(every=60)], now=NOON)
    assert Origin.VALUES == store.get_entry(client, "hourly").origin


def test_a_restart_of_beat_keeps_the_next_tick_and_a_new_time_sets_it_anew(client: redis_client.Redis) -> None:
    store.install(client, [entry()], now=NOON)
    store.install(client, [entry()], now=NOON + 7000)
    kept = store.get_entry(client, "hourly").next_run_at
    store.install(client, [entry(every=60)], now=NOON + 7000)

    assert NOON + HOUR == kept
    assert NOON + 7060 == store.get_entry(client, "hourly").next_run_at


def test_what_an_entry_would_have_sent_while_it_was_off_is_not_made_up_for(client: redis_client.Redis) -> None:
    save(client, entry())
    store.set_enabled(client, "hourly", is_enabled=False, now=lambda: NOON)
    off = store.get_entry(client, "hourly").next_run_at
    store.set_enabled(client, "hourly", is_enabled=True, now=lambda: NOON + 100 * HOUR)

    assert off is None
    assert NOON + 101 * HOUR == store.get_entry(client, "hourly").next_run_at


def test_of_many_senders_one_gets_the_tick(client: redis_client.Redis) -> None:
    save(client, entry())
    with ThreadPoolExecutor(16) as pool:
        loaded = [store.load(client, ScheduleKeys.entry("hourly")) for _ in range(16)]
        tokens = list(pool.map(lambda stored: store.claim(client, stored, NOON + HOUR), loaded))
    assert 1 == sum(token is not None for token in tokens)


def test_a_sender_that_lost_its_claim_changes_nothing(client: redis_client.Redis) -> None:
    save(client, entry())
    first = store.load(client, ScheduleKeys.entry("hourly"))
    slow = store.claim(client, first, NOON + HOUR)
    second = store.load(client, ScheduleKeys.entry("hourly"))
    quick = store.claim(client, second, NOON + HOUR)
    assert slow is not None
    assert quick is not None
    store.finish(client, second, quick)
    store.give_back(client, first, slow)
    store.finish(client, first, slow)
    assert 1 == store.get_entry(client, "hourly").total_runs


def test_run_now_answers_what_a_tick_would_send_and_leaves_the_schedule_alone(client: redis_client.Redis) -> None:
    save(client, entry())
    sending = store.run_now(client, "hourly", now=lambda: NOON + 5)
    assert ("reports", "a.b", "hourly-1764000005") == (
        sending.queue, sending.message.headers["task"], sending.message.headers["id"]
    )  # fmt: skip
    assert NOON + HOUR == store.get_entry(client, "hourly").next_run_at


def test_a_name_that_is_not_there_and_a_time_that_never_comes_are_refused(client: redis_client.Redis) -> None:
    never = ScheduleEntry(name="never", cron="0 0 30 2 *", task=TaskTarget(name="a.b", queue="q"))
    with pytest.raises(ScheduleInvalid):
        save(client, never)
    for change in (store.get_entry, store.remove, store.run_now):
        with pytest.raises(ScheduleNotFound, match="never"):
            change(client, "never")
    assert [] == store.list_entries(client)


def test_a_redis_that_is_away_is_told_as_such() -> None:
    with (
        redis_client.Redis(port=1, decode_responses=True, retry=Retry(NoBackoff(), 0)) as nowhere,
        pytest.raises(ScheduleStoreUnavailable, match="Redis"),
    ):
        store.list_entries(nowhere)


async def _seen_by_the_operator(url: str) -> list[tuple[str, str, float]]:
    async with redis_client.asyncio.Redis.from_url(url, decode_responses=True) as connected:
        seen = await BeatEntries(connected).read()
    return [(found.name, found.queue, found.at) for found in seen.entries]


def test_the_operator_knows_what_comes(client: redis_client.Redis, redis: Container) -> None:
    save(client, entry())
    save(client, entry("off", is_enabled=False))
    seen = asyncio.run(_seen_by_the_operator(f"redis://:integration@127.0.0.1:{redis.ports[6379]}/9"))
    assert [("hourly", "reports", NOON + HOUR)] == seen
