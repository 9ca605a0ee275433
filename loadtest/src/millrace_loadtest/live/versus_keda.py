"""Play the same loads on the same workers and broker, once scaled by Millrace and once by KEDA, and tell both.

Every run is written down when it ends, so that a broken-off comparison goes on where it was; --again forgets them.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from millrace_loadtest.live import comparison
from millrace_loadtest.live.cluster import LOCAL, BenchError, Cluster, clean_up_when_told_to_stop, wait_until
from millrace_loadtest.live.loads import LOADS, QUEUE, Load
from millrace_loadtest.live.picture import draw
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.recording import Recording
from millrace_loadtest.live.rig import WORKER_IMAGE, rig, worker_deployment
from millrace_loadtest.live.scalers import SCALERS, Scaler
from millrace_loadtest.live.watching import Played, now, play, watched

NAMESPACE: Final = "millrace-bench"
DEPLOYMENT: Final = "worker"
CAP: Final = 20
OBJECTIVE_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 20.0
"""Both scalers have then looked at the empty queue several times."""
AFTERWARDS_SECONDS: Final = 900.0
"""A scaler that still keeps pods after that is charged with them until then."""
RECORDINGS: Final = LOCAL / "bench" / "versus-keda"


def plan_of(load: Load) -> dict[str, Any]:
    """Answer what the player is to do."""
    tasks = [[at, seconds, QUEUE] for at, seconds in load.tasks]
    return {"tasks": tasks, "queues": [QUEUE], "notes": "bench:notes", "limit_seconds": load.limit_seconds}


def record(cluster: Cluster, scaler: Scaler, load: Load) -> Recording:
    """Play a load under a scaler, and watch until the pool is empty again."""
    play(cluster, {**plan_of(load), "tasks": [], "limit_seconds": 1})  # declares the queue, empty
    played = Played()
    before = os.getloadavg()
    with (
        scaler.active(cluster, deployment=DEPLOYMENT, queue=QUEUE, cap=CAP),
        watched(cluster, DEPLOYMENT) as seen,
    ):
        settled = now() + SETTLE_SECONDS
        wait_until(lambda: now() >= settled and seen.is_empty, what="an empty pool", timeout_seconds=180)
        say(f"    {scaler.name}, {load.name}: {len(load.tasks)} tasks, up to {load.limit_seconds:g} s")
        began = now()
        play(cluster, plan_of(load), into=played)
        say("    all tasks are done; waiting for the last pod to go")
        over = now() + AFTERWARDS_SECONDS
        wait_until(
            lambda: seen.is_empty or now() > over, what="the pool to be empty", timeout_seconds=AFTERWARDS_SECONDS + 10
        )
        zero = played.first_publish
        return Recording(
            scaler=scaler.name,
            load=load.name,
            began=datetime.fromtimestamp(began, tz=UTC).isoformat(timespec="seconds"),
            conditions={
                "load_average_before": before,
                "load_average_after": os.getloadavg(),
                "cores": os.cpu_count(),
                "worker_image": WORKER_IMAGE,
            },
            tasks=played.tasks(zero),
            replicas=seen.replicas(zero, since=began),
            pods=seen.lives(zero, since=began),
            backlog=tuple((round(at - zero, 3), ready) for at, ready in played.backlog[QUEUE]),
            redelivered=played.redelivered[QUEUE],
            ended_at=now() - zero,
        )


def recorded(cluster: Cluster, scaler: Scaler, load: Load) -> Recording:
    """Answer the run that was written down, or run it."""
    path = RECORDINGS / f"{scaler.name}-{load.name}.json"
    if path.exists():
        say(f"    {path.name} is there")
        return Recording.from_json(path.read_text())
    recording = record(cluster, scaler, load)
    RECORDINGS.mkdir(parents=True, exist_ok=True)
    path.write_text(recording.to_json())
    return recording


def missing(scalers: Sequence[Scaler], loads: Sequence[Load]) -> bool:
    """Say whether any run is to be made."""
    return any(not (RECORDINGS / f"{each.name}-{load.name}.json").exists() for each in scalers for load in loads)


def all_runs(scalers: Sequence[Scaler], loads: Sequence[Load]) -> list[Recording]:
    """Have every run, each scaler with each load."""
    cluster = Cluster(NAMESPACE)
    if not missing(scalers, loads):
        return [recorded(cluster, scaler, load) for scaler in scalers for load in loads]
    with rig(cluster):
        cluster.apply([worker_deployment(DEPLOYMENT, queue=QUEUE, notes="bench:notes")])
        return [recorded(cluster, scaler, load) for scaler in scalers for load in loads]


def tell(recordings: Sequence[Recording], *, report_path: Path, thresholds_path: Path, picture: Path | None) -> bool:
    """Print the table, write report and pictures, and say whether every threshold is met."""
    limits = yaml.safe_load(thresholds_path.read_text())
    found = comparison.report(recordings, cap=CAP, objective_seconds=OBJECTIVE_SECONDS, thresholds=limits)
    report_path.write_text(json.dumps(found, indent=2) + "\n")
    print(comparison.table(found["runs"]))  # noqa: T201 - the report is for the terminal
    print(comparison.verdicts(found["thresholds"]))  # noqa: T201 - the report is for the terminal
    if picture is not None:
        titles = {each.name: each.title for each in SCALERS}
        for load in LOADS.values():
            of_load = [each for each in recordings if each.load == load.name]
            if of_load:
                name = picture if load.name == "burst" else picture.with_stem(f"{load.name}-against-keda")
                draw(of_load, titles, heading=load.title, path=name, cap=CAP, objective_seconds=OBJECTIVE_SECONDS)
    return all(each["is_met"] for each in found["thresholds"])


def main() -> int:
    """Make the runs that are missing, and tell all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scalers", default=",".join(each.name for each in SCALERS))
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--again", action="store_true", help="forget the chosen runs that are written down")
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--picture", type=Path, help="of the burst; those of other loads stand beside it")
    arguments = parser.parse_args()
    clean_up_when_told_to_stop()
    scalers = [each for each in SCALERS if each.name in arguments.scalers.split(",")]
    loads = [LOADS[name] for name in arguments.loads.split(",")]
    if arguments.again:
        for path in (RECORDINGS / f"{each.name}-{load.name}.json" for each in scalers for load in loads):
            path.unlink(missing_ok=True)
    try:
        recordings = all_runs(scalers, loads)
    except BenchError as error:
        sys.exit(f"The comparison broke off: {error}\nWhat is written down stays; the same command goes on from there.")
    recordings.sort(key=lambda each: list(LOADS).index(each.load))
    is_met = tell(
        recordings, report_path=arguments.report, thresholds_path=arguments.thresholds, picture=arguments.picture
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
