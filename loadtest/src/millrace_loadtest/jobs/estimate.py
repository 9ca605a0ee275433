"""Is the estimated completion true?  A steady job's ledger is read as the operator reads it, and its end foretold.

Each reading goes through the very functions that write status. An estimate is off by the share of the whole run (first
shard to last) between the end that it told and the one that came; a second figure relates the same seconds to the time
that was left, up to the point where whole seconds, in which status is written, say more than the estimate.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from millrace_loadtest.jobs import inputs, part
from millrace_loadtest.jobs.models import WAITING
from millrace_loadtest.jobs.stand import SYSTEM, Job, stand
from millrace_loadtest.live.progress import say
from millrace_operator.api.timestamps import to_epoch_seconds
from millrace_operator.jobs.counts import count_records, describe_speed
from millrace_operator.jobs.ledger import LedgerStore
from millrace_operator.jobs.pace import Pace, watch
from millrace_operator.jobs.readings import LedgerReading
from millrace_worker import clock

RECORDS: Final = 400_000
POOL: Final = "estimate"
REQUEST_SECONDS: Final = 0.1
READ_SECONDS: Final = 0.5
FROM: Final = 0.25
LEAST_SECONDS_LEFT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Told:
    """What the operator would have written at a moment."""

    at: float
    progress: float
    end: float


def measure(folder: Path) -> dict[str, Any]:
    """Run a job with two workers, and compare what was told with what came."""
    with stand(folder, waiting_seconds=REQUEST_SECONDS) as bench:
        inputs.write_jsonl(bench.claim / "in.jsonl", RECORDS)
        with bench.running("system", queue=SYSTEM), bench.running("first", "second", queue=POOL):
            job = bench.submit(bench.file("in.jsonl"), queue=POOL, model=WAITING)
            told = asyncio.run(_record(job, bench.redis_server.url))
            fields = job.wait()
    began, ended = float(fields["first_shard_at"]), float(fields["last_shard_at"])
    return {"records": RECORDS, "seconds": round(ended - began, 1), **figures(told, began=began, ended=ended)}


def figures(told: Sequence[Told], *, began: float, ended: float) -> dict[str, Any]:
    """Compare what was told from a quarter of the job on with its real end."""
    late = [each for each in told if each.progress >= FROM]
    of_all = [abs(each.end - ended) / (ended - began) for each in late]
    of_rest = [abs(each.end - ended) / (ended - each.at) for each in late if ended - each.at >= LEAST_SECONDS_LEFT]
    return {
        "estimates": len(late),
        # None: nothing was told, which meets no threshold.
        "worst_error": round(max(of_all), 3) if of_all else None,
        "worst_error_of_time_left": round(max(of_rest), 3) if of_rest else None,
    }


async def _record(job: Job, url: str) -> list[Told]:
    told: list[Told] = []
    pace: Pace | None = None
    async with Redis.from_url(url) as client:
        store = LedgerStore(client)
        while not job.has_ended():
            reading = (await store.read_all([job.uid]))[job.uid]
            if isinstance(reading, LedgerReading):
                pace = _watched(pace, reading)
                told += _told(reading, pace, now=clock.seconds_since_epoch())
            await asyncio.sleep(READ_SECONDS)
    say(f"{len(told)} estimates were told")
    return told


def _watched(pace: Pace | None, reading: LedgerReading) -> Pace | None:
    if reading.first_shard_at is None or reading.last_progress_at is None or not reading.done:
        return pace
    at, began_at = reading.last_progress_at, reading.first_shard_at
    return watch(pace, epoch=reading.epoch, began_at=began_at, at=at, done=reading.done)


def _told(reading: LedgerReading, pace: Pace | None, *, now: float) -> list[Told]:
    counts = count_records(reading, inline_count=None, has_ended=False)
    speed = describe_speed(reading, counts, pace=pace, now=now, is_running=True)
    if "estimatedCompletionTime" not in speed:
        return []
    return [Told(now, counts.done / counts.total, to_epoch_seconds(speed["estimatedCompletionTime"]))]


if __name__ == "__main__":
    part.main(measure, name="estimate")
