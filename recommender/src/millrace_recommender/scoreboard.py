"""Whether the recommender learns, read from Redis: `python -m millrace_recommender.scoreboard`.

Prints hits by model version and minute, and how long events take to become recommendations. A hit is an event whose
item the user had been recommended before it came. Redis is found by MILLRACE_REDIS_URL.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from millrace_recommender import layout
from millrace_recommender.recommendations import HitCount
from millrace_recommender.store import translated
from millrace_worker.clock import seconds_since_epoch
from millrace_worker.errors import WorkerError
from millrace_worker.ledger import connect
from millrace_worker.settings import read_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionMinute:
    """What one version's recommendations were worth in one minute."""

    minute: int
    """Since the epoch."""
    version: str
    events: int
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoreboard:
    """All that is known of the last minutes."""

    read_at: float
    minutes: Sequence[VersionMinute]
    latency_p50_seconds: float | None
    latency_p95_seconds: float | None
    active_users: int
    refused_events: int


def read_scoreboard(client: redis.Redis, *, now: float, minutes: int) -> Scoreboard:
    """Read the last minutes."""
    last = int(now // 60)
    asked = range(last - minutes + 1, last + 1)
    with translated():
        pipe = client.pipeline(transaction=False)
        for minute in asked:
            pipe.hgetall(layout.scores_key(minute))
        pipe.lrange(layout.LATENCIES, 0, -1)
        pipe.zcard(layout.ACTIVE_USERS)
        pipe.get(layout.REFUSED)
        *hashes, latencies, active, refused = pipe.execute()
    seconds = sorted(map(float, latencies))
    return Scoreboard(
        read_at=now,
        minutes=[row for minute, counters in zip(asked, hashes, strict=True) for row in _rows(minute, counters)],
        latency_p50_seconds=percentile(seconds, 0.50),
        latency_p95_seconds=percentile(seconds, 0.95),
        active_users=int(active),
        refused_events=int(refused or 0),
    )


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """Answer the value below which `share` of the values lie; None where there is none."""
    if not ascending:
        return None
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def _rows(minute: int, counters: dict[str, str]) -> list[VersionMinute]:
    counts: dict[str, HitCount] = defaultdict(HitCount)
    for name, number in counters.items():
        version, _, what = name.rpartition(":")
        setattr(counts[version], what, int(number))
    return [
        VersionMinute(minute=minute, version=version, events=count.events, hits=count.hits)
        for version, count in sorted(counts.items())
    ]


def _show(board: Scoreboard) -> str:
    lines = [f"{'minutes ago':>11}  {'version':<12} {'events':>7} {'hit rate':>9}"]
    now = int(board.read_at // 60)
    for row in board.minutes:
        rate = HitCount(row.events, row.hits).rate
        shown = "-" if rate is None else f"{rate:.1%}"
        lines.append(f"{now - row.minute:>11}  {row.version:<12} {row.events:>7} {shown:>9}")
    if board.latency_p50_seconds is not None:
        lines.append(
            f"from event to recommendation: {board.latency_p50_seconds:.3f} s p50, "
            f"{board.latency_p95_seconds:.3f} s p95; {board.active_users} active users"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the scoreboard and answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millrace_recommender.scoreboard", description="Hits and latency.")
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="for machines")
    arguments: Any = parser.parse_args()
    try:
        with connect(read_settings().redis_url.get_secret_value()) as client:
            board = read_scoreboard(client, now=seconds_since_epoch(), minutes=arguments.minutes)
    except WorkerError as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1
    sys.stdout.write(json.dumps(asdict(board)) + "\n" if arguments.json else _show(board))
    return 0


if __name__ == "__main__":
    sys.exit(main())
