"""Whether the recommender learns, read from Redis: `python -m millrace_recommender.scoreboard`.

Prints hits by model version over time, and how long events take to become recommendations. A hit is an event whose item
the user had been recommended before it came. Redis is found by MILLRACE_REDIS_URL.
"""

import argparse
import json
import sys
import threading
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
class VersionSlot:
    """What one version's recommendations were worth for some seconds."""

    began_at: float
    """Seconds since the epoch."""
    version: str
    events: int
    hits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoreboard:
    """All that is known of the last minutes. None is what is not known."""

    read_at: float
    slots: Sequence[VersionSlot]
    latency_p50_seconds: float | None
    latency_p95_seconds: float | None
    newest_event_at: float | None
    """Of the events that were taken in: how far it is behind now is how far the recommender is behind."""
    events: int
    refused_events: int
    active_users: int


def read_scoreboard(client: redis.Redis, *, now: float, minutes: float) -> Scoreboard:
    """Read the last minutes."""
    asked = range(layout.slot_of(now - 60 * minutes) + 1, layout.slot_of(now) + 1)
    with translated():
        pipe = client.pipeline(transaction=False)
        for slot in asked:
            pipe.hgetall(layout.scores_key(slot))
        pipe.lrange(layout.LATENCIES, 0, -1)
        pipe.zcard(layout.ACTIVE_USERS)
        pipe.zrange(layout.ACTIVE_USERS, 0, 0, desc=True, withscores=True)
        pipe.mget(layout.EVENTS, layout.REFUSED)
        *hashes, latencies, active, newest, (events, refused) = pipe.execute()
    seconds = sorted(map(float, latencies))
    return Scoreboard(
        read_at=now,
        slots=[row for slot, counters in zip(asked, hashes, strict=True) for row in _rows(slot, counters)],
        latency_p50_seconds=percentile(seconds, 0.50),
        latency_p95_seconds=percentile(seconds, 0.95),
        newest_event_at=float(newest[0][1]) if newest else None,
        events=int(events or 0),
        refused_events=int(refused or 0),
        active_users=int(active),
    )


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """Answer the value below which `share` of the values lie; None where there is none."""
    if not ascending:
        return None
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def _rows(slot: int, counters: dict[str, str]) -> list[VersionSlot]:
    counts: dict[str, HitCount] = defaultdict(HitCount)
    for name, number in counters.items():
        version, _, what = name.rpartition(":")
        setattr(counts[version], what, int(number))
    return [
        VersionSlot(began_at=slot * layout.SLOT_SECONDS, version=version, events=count.events, hits=count.hits)
        for version, count in sorted(counts.items())
    ]


def _show(board: Scoreboard) -> str:
    lines = [f"{'seconds ago':>11}  {'version':<12} {'events':>7} {'hit rate':>9}"]
    for row in board.slots:
        rate = HitCount(row.events, row.hits).rate
        shown = "-" if rate is None else f"{rate:.1%}"
        lines.append(f"{board.read_at - row.began_at:>11.0f}  {row.version:<12} {row.events:>7} {shown:>9}")
    if board.latency_p50_seconds is not None:
        lines.append(
            f"from event to recommendation: {board.latency_p50_seconds:.3f} s p50, "
            f"{board.latency_p95_seconds:.3f} s p95; {board.events} events, {board.active_users} active users"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the scoreboard, once or every few seconds, and answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millrace_recommender.scoreboard", description="Hits and latency.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how far to look back")
    parser.add_argument("--every", type=float, default=0.0, help="seconds; 0 prints it once")
    parser.add_argument("--json", action="store_true", help="for machines: a line each time")
    arguments: Any = parser.parse_args()
    pause = threading.Event()
    try:
        with connect(read_settings().redis_url.get_secret_value()) as client:
            while True:
                board = read_scoreboard(client, now=seconds_since_epoch(), minutes=arguments.minutes)
                sys.stdout.write(json.dumps(asdict(board)) + "\n" if arguments.json else _show(board))
                sys.stdout.flush()
                if not arguments.every:
                    return 0
                pause.wait(arguments.every)
    except WorkerError as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


if __name__ == "__main__":
    sys.exit(main())
