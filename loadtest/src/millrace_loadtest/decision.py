"""Measure what one scaling decision costs, with the operator's own functions.

The load is a random walk of the backlog with bursts and silences, long enough that the memory of a pool is as full as
it gets. Prints the percentiles and exits with 1 when the threshold of `scenarios/decision` is missed.
"""

import argparse
import json
import random
import sys
import time
from pathlib import Path

import yaml

from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.decision.decide import Memory, decide
from millrace_operator.model.pool_state import PoolState
from millrace_operator.model.reading import Blindness, QueueReading, Reading, Unknown

POLICY = PoolPolicy(concurrency=4, min_replicas=0, max_replicas=200, idle_seconds=600.0)
UNREADABLE_SHARE = 0.02
SILENT_SHARE = 0.2


def backlog(passes: int, *, seed: int) -> list[Reading]:
    """Make the readings of a pool, one a second; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a load, not a secret
    readings: list[Reading] = []
    ready = arrived = 0
    for second in range(passes):
        if chance.random() < UNREADABLE_SHARE:
            readings.append(Unknown(reason=Blindness.BROKER_UNREACHABLE, message="the broker does not answer"))
            continue
        came = chance.randint(0, 210)
        ready = 0 if chance.random() < SILENT_SHARE else max(0, ready + came - chance.randint(0, 200))
        arrived += came
        unacked = min(chance.randint(0, 100), arrived - ready)
        readings.append(
            QueueReading(
                read_at=float(second),
                ready=ready,
                unacked=unacked,
                consumers=10,
                arrivals_total=arrived,
                completions_total=arrived - ready - unacked,
            )
        )
    return readings


def decision_milliseconds(readings: list[Reading]) -> list[float]:
    """Decide on each reading in turn; the pool has what was asked for last."""
    taken: list[float] = []
    memory: Memory | None = None
    asked = 0
    for second, reading in enumerate(readings):
        state = PoolState(asked=asked, existing=asked, ready=asked)
        began = time.perf_counter()
        decision, memory = decide(policy=POLICY, state=state, reading=reading, memory=memory, now=float(second))
        taken.append((time.perf_counter() - began) * 1000)
        asked = decision.replicas
    return taken


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> int:
    """Measure, compare with the thresholds, and write the report where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--passes", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--report", type=Path, help="write the figures to this JSON file")
    arguments = parser.parse_args()
    limit = float(yaml.safe_load(arguments.thresholds.read_text())["decision_p99_milliseconds"])
    taken = decision_milliseconds(backlog(arguments.passes, seed=arguments.seed))
    p99 = percentile(taken, 0.99)
    figures = {
        "decisions": len(taken),
        "p50_milliseconds": round(percentile(taken, 0.5), 4),
        "p99_milliseconds": round(p99, 4),
        "max_milliseconds": round(max(taken), 4),
        "threshold_p99_milliseconds": limit,
        "is_met": p99 <= limit,
    }
    print(json.dumps(figures, indent=2))  # noqa: T201 - the report is for the terminal
    if arguments.report:
        arguments.report.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["is_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
