"""The estimated completion, against jobs that are played through with pools that stay and pools that grow."""

import heapq
import random
from collections.abc import Callable, Iterator

import pytest
from operator_jobs import NOW, running

from millrace_operator.api.timestamps import to_epoch_seconds
from millrace_operator.jobs.counts import RecordCounts, describe_speed
from millrace_operator.jobs.pace import Pace, Step, watch

Play = list[tuple[float, int]]
TOLERATED_SHARE = 0.2


def play(*, shards: int, shard_seconds: float, workers: Callable[[float], int], seed: int) -> Play:
    """Play a job of shards of 100 records through; answer when so many records were done."""
    dice = random.Random(seed)
    now, left, ends, done = 0.0, shards, [], []
    while left or ends:
        while left and len(ends) < workers(now):
            heapq.heappush(ends, now + shard_seconds * dice.uniform(0.7, 1.3))
            left -= 1
        now = heapq.heappop(ends)
        done.append((now, 100 * (len(done) + 1)))
    return done


def estimates(steps: Play, *, from_seconds: float = 0.0) -> Iterator[tuple[float, float]]:
    """Look each second; answer how much was done, and how wrong the estimated end is as a share of the whole time."""
    total, end = steps[-1][1], steps[-1][0]
    pace: Pace | None = None
    for second in range(int(from_seconds), int(end)):
        at, done = max(((at, done) for at, done in steps if at <= second), default=(0.0, 0))
        if not done:
            continue
        pace = watch(pace, epoch=0, began_at=NOW, at=NOW + at, done=done)
        reading = running(total=total, succeeded=done, first_shard_at=NOW, last_progress_at=NOW + at)
        counts = RecordCounts(total=total, succeeded=done)
        speed = describe_speed(reading, counts, pace=pace, now=NOW + second, is_running=True)
        if "estimatedCompletionTime" in speed:
            guess = to_epoch_seconds(speed["estimatedCompletionTime"]) - NOW
            yield done / total, abs(guess - end) / end


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("shards", "shard_seconds", "workers"),
    [(400, 1.0, 4), (2000, 0.2, 1), (40, 30.0, 2), (120, 20.0, 8), (1000, 5, 50)],
)
def test_the_estimate_is_within_a_fifth_from_a_quarter_of_the_job_on(
    shards: int, shard_seconds: float, workers: int, seed: int
) -> None:
    steps = play(shards=shards, shard_seconds=shard_seconds, workers=lambda _: workers, seed=seed)
    wrong = [error for share, error in estimates(steps) if share >= 0.25]
    assert wrong
    assert max(wrong) <= TOLERATED_SHARE


@pytest.mark.parametrize("seed", range(3))
def test_a_pool_that_grows_shows_in_the_estimate_within_a_minute(seed: int) -> None:
    steps = play(shards=2400, shard_seconds=1.0, workers=lambda now: 2 if now < 150 else 8, seed=seed)
    end = steps[-1][0]
    after = [error for share, error in estimates(steps) if share >= next(d for at, d in steps if at >= 210) / 240_000]
    assert after
    assert max(after) <= TOLERATED_SHARE
    assert end > 300


def test_an_operator_that_starts_in_mid_job_begins_with_the_mean() -> None:
    pace = watch(None, epoch=0, began_at=0.0, at=50.0, done=500)
    assert 10 == pace.per_second(50.0, 500)


def test_a_job_that_was_suspended_begins_anew() -> None:
    before = Pace(epoch=0, steps=(Step(0.0, 0), Step(50.0, 500)))
    after = watch(before, epoch=1, began_at=0.0, at=1000.0, done=510)
    assert after.per_second(1000.0, 510) is None
    assert 20 == watch(after, epoch=1, began_at=0.0, at=1010.0, done=710).per_second(1010.0, 710)


def test_memory_of_a_job_that_takes_a_day_stays_small() -> None:
    pace: Pace | None = None
    for second in range(86_400):
        pace = watch(pace, epoch=0, began_at=0.0, at=float(second), done=second + 1)
    assert pace is not None
    assert len(pace.steps) <= 40
