"""A small job comes while a huge one runs in the same pool: how long it takes, against its time alone.

Messages are taken in the order in which they came, and the huge job has at most its window of them out. So the small
one waits for one window at most, whatever the size of the huge one; a higher priority goes before even that.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from millrace_contracts.ledger import Field
from millrace_contracts.tasks import Batching
from millrace_loadtest.jobs import inputs, part
from millrace_loadtest.jobs.models import WAITING, WIDTH
from millrace_loadtest.jobs.stand import SYSTEM, Job, Stand, stand
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.watching import now
from millrace_loadtest.pipeline.servers import wait_for

LARGE: Final = 200_000
SMALL: Final = 100
TURNS: Final = 5
WINDOW: Final = 16
POOL: Final = "fairness"
WORKERS: Final = ("first", "second")
REQUEST_SECONDS: Final = 0.1
BATCHING: Final = Batching(records_per_task=512, max_batch_size=128, max_in_flight_requests=2)
URGENT: Final = 9


def measure(folder: Path) -> dict[str, Any]:
    """Run the small job alone, beside the large one, and urgently beside it."""
    with stand(folder, waiting_seconds=REQUEST_SECONDS) as bench:
        inputs.write_jsonl(bench.claim / "large.jsonl", LARGE)
        with bench.running("system", queue=SYSTEM), bench.running(*WORKERS, queue=POOL):
            _small(bench)
            alone = [_small(bench) for _ in range(TURNS)]
            say(f"alone: {_median(alone)} s")
            large = bench.submit(bench.file("large.jsonl"), queue=POOL, model=WAITING, window=WINDOW, batching=BATCHING)
            wait_for(lambda: large.number(Field.SHARDS_DONE) > WINDOW, what="the large job to run", limit_seconds=120)
            before = (now(), large.number(Field.SHARDS_DONE))
            beside_large = Beside(large)
            beside = [_small(bench, beside_large) for _ in range(TURNS)]
            ahead, beside_large.ahead = beside_large.ahead, []
            urgent = [_small(bench, beside_large, priority=URGENT) for _ in range(TURNS)]
            if large.has_ended():
                raise RuntimeError("the large job ended before the small ones did; give it more records")
            seconds_a_shard = (now() - before[0]) / (large.number(Field.SHARDS_DONE) - before[1])
    told = figures(alone, beside, urgent, window_seconds=WINDOW * seconds_a_shard)
    return {
        "window": WINDOW,
        "large_shards_out_at_most": max(beside_large.out),
        "large_shards_beyond_window": max(0, max(beside_large.out) - WINDOW),
        "large_shards_meanwhile": max(ahead),
        "large_shards_meanwhile_urgent": max(beside_large.ahead),
        **told,
    }


@dataclass
class Beside:
    """The large job, and what was seen of it while small ones ran."""

    job: Job
    out: list[int] = field(default_factory=list)
    """Shards that were out, each time that somebody looked."""
    ahead: list[int] = field(default_factory=list)
    """Shards that were done from a small job's begin to its end."""

    def look(self) -> int:
        """Note how many are out, and answer how many are done."""
        fields = self.job.fields
        done = int(fields.get(Field.SHARDS_DONE, "0"))
        self.out.append(int(fields[Field.SHARDS_DISPATCHED]) - done)
        return done


def figures(
    alone: Sequence[float], beside: Sequence[float], urgent: Sequence[float], *, window_seconds: float
) -> dict[str, Any]:
    """Turn seconds into what is told."""
    return {
        "window_seconds": round(window_seconds, 2),
        "small_alone_seconds": _median(alone),
        "small_beside_seconds": _median(beside),
        "small_urgent_seconds": _median(urgent),
        # The slowest, not the median: a promise to everyone.
        "delay_in_windows": round((max(beside) - statistics.median(alone)) / window_seconds, 2),
        "urgent_delay_in_windows": round((max(urgent) - statistics.median(alone)) / window_seconds, 2),
    }


def _small(bench: Stand, large: Beside | None = None, **spec: Any) -> float:
    """Run the small job to its end and answer its seconds; look meanwhile at the large one."""
    names = [f"s{number}" for number in range(SMALL)]
    done = large.look() if large else 0
    began = now()
    job = bench.submit(bench.inline(names, [0.5] * WIDTH), queue=POOL, model=WAITING, **spec)

    def has_ended() -> bool:
        if large:
            large.look()
        return job.has_ended()

    wait_for(has_ended, what="the small job", limit_seconds=300)
    seconds = now() - began
    if large:
        large.ahead.append(large.look() - done)
    return seconds


def _median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


if __name__ == "__main__":
    part.main(measure, name="fairness")
