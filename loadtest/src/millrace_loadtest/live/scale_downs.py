"""Let real pools shrink a hundred times under tasks that outlast the grace period, and let the operator go blind.

A busy pod that is deleted loses its task, so every mistake shows: as a task that started twice, or as a delivery that
the broker repeated. Then the operator's way to the broker is cut while the pool is too big: nothing may shrink.
"""

import argparse
import itertools
import json
import random
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from millrace_loadtest.live.cluster import BenchError, Cluster, clean_up_when_told_to_stop, wait_until
from millrace_loadtest.live.comparison import verdicts
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.recording import Task, busy_pods_told_to_stop
from millrace_loadtest.live.rig import rig, worker_deployment
from millrace_loadtest.live.scalers import operator, sees_the_queue, worker_pool
from millrace_loadtest.live.watching import DeploymentWatch, Played, now, play, watched

NAMESPACE: Final = "millrace-live"
POOLS: Final = ("a", "b", "c")
CAP: Final = 6
GRACE_SECONDS: Final = 5
OBJECTIVE_SECONDS: Final = 5
"""Less than a task takes, so that a pool goes to its limit whenever a wave comes."""
STEPS: Final = 100
ROUND_SECONDS: Final = 180.0
ROUNDS: Final = 8
"""At most: a bench that finds no hundred steps in so many rounds says how many it found."""
LIMITS: Final = (CAP, 2, 4, 1)
SWING_SECONDS: Final = 20.0
"""A limit that falls asks for fewer pods while all of them work; the law alone would keep most between the waves."""
BLIND_POOL: Final = "d"
BLIND_CAP: Final = 12


def waves(pools: Sequence[str], *, seed: int) -> list[list[Any]]:
    """Make tasks of 8 to 15 s in waves, so close that some come while pods of the wave before are being removed."""
    chance = random.Random(seed)  # noqa: S311 - a load that is to be the same each time
    tasks: list[list[Any]] = []
    for pool in pools:
        at = chance.uniform(0, 8)
        while at < ROUND_SECONDS:
            tasks += [[round(at, 2), round(chance.uniform(8, 15), 2), pool] for _ in range(chance.randint(2, CAP))]
            at += chance.uniform(10, 18)
    return tasks


def lowered(watches: Sequence[DeploymentWatch], *, since: float = 0.0, until: float = float("inf")) -> int:
    """Count the writes that asked for fewer."""
    return sum(
        later[1] < earlier[1] and since <= later[0] <= until
        for watch in watches
        for earlier, later in zip(watch.changes, watch.changes[1:], strict=False)
    )


def plan(tasks: list[list[Any]], queues: Sequence[str], *, limit_seconds: float) -> dict[str, Any]:
    """Answer what the player is to do."""
    return {"tasks": tasks, "queues": list(queues), "notes": "bench:notes", "limit_seconds": limit_seconds}


def make_pools(cluster: Cluster, pools: Sequence[str], *, cap: int, idle_seconds: int) -> None:
    """Make a Deployment and a WorkerPool for each queue, all empty, and wait until the operator reads them."""
    play(cluster, plan([], pools, limit_seconds=1))
    cluster.apply(
        [
            worker_deployment(f"worker-{pool}", queue=pool, notes="bench:notes", grace_seconds=GRACE_SECONDS)
            for pool in pools
        ]
    )
    cluster.apply(
        [
            worker_pool(
                pool,
                deployment=f"worker-{pool}",
                queue=pool,
                cap=cap,
                idleSeconds=idle_seconds,
                objective={"waitSeconds": OBJECTIVE_SECONDS},
            )
            for pool in pools
        ]
    )
    for pool in pools:
        wait_until(partial(sees_the_queue, cluster, pool), what=f"pool {pool} to be read", timeout_seconds=60)


@contextmanager
def swinging_limits(cluster: Cluster) -> Iterator[None]:
    """Change the pools' maxReplicas again and again while the context is open."""
    over = threading.Event()

    def swing() -> None:
        for limit in itertools.cycle(LIMITS):
            patch = json.dumps({"spec": {"maxReplicas": limit}})
            for pool in POOLS:
                cluster.kubectl("patch", "workerpools.millrace.dev", pool, "--type=merge", f"--patch={patch}")
            if over.wait(SWING_SECONDS if limit != CAP else 1.5 * SWING_SECONDS) and limit == CAP:
                return

    swinging = threading.Thread(target=swing)
    swinging.start()
    try:
        yield
    finally:
        over.set()
        swinging.join()


def shrink(cluster: Cluster) -> dict[str, Any]:
    """Let the pools shrink until the steps are many enough, and answer what became of the tasks."""
    make_pools(cluster, POOLS, cap=CAP, idle_seconds=2)
    tasks: list[Task] = []
    redelivered, rounds, began = 0, 0, now()
    with ExitStack() as stack:
        watches = [stack.enter_context(watched(cluster, f"worker-{pool}")) for pool in POOLS]
        while lowered(watches) < STEPS and rounds < ROUNDS:
            with swinging_limits(cluster):
                played = play(cluster, plan(waves(POOLS, seed=rounds), POOLS, limit_seconds=ROUND_SECONDS + 120))
            rounds += 1
            tasks += played.tasks(0.0)
            redelivered += sum(played.redelivered.values())
            say(f"    round {rounds}: {lowered(watches)} steps down, {len(tasks)} tasks, {redelivered} redelivered")
        pods = [pod for each in watches for pod in each.lives(0.0, since=began)]
        return {
            "steps_down": lowered(watches),
            "pods_removed": sum(pod.gone is not None for pod in pods),
            "busy_pods_removed": busy_pods_told_to_stop(tasks, pods),
            "tasks": len(tasks),
            "tasks_not_ended": sum(not task.ends for task in tasks),
            "tasks_started_twice": sum(len(task.starts) > 1 for task in tasks),
            "redelivered": redelivered,
            "grace_seconds": GRACE_SECONDS,
            "seconds": round(now() - began),
        }


def turn_door(cluster: Cluster, *, is_open: bool) -> None:
    """Open or shut the operator's way to the broker."""
    number = "SIGUSR2" if is_open else "SIGUSR1"
    cluster.kubectl("exec", "deployment/door", "--", "python", "-c", f"import os, signal; os.kill(1, signal.{number})")


def go_blind(cluster: Cluster, *, blind_seconds: float) -> dict[str, Any]:
    """Cut the operator off while the pool is too big, add work unseen, let it see again, and answer what it did."""
    make_pools(cluster, [BLIND_POOL], cap=BLIND_CAP, idle_seconds=10)
    shut_at, open_at = 15.0, 15.0 + blind_seconds
    # Six tasks that end soon after the door is shut; forty that come just before it opens.
    tasks = [[0.0, 12.0, BLIND_POOL]] * 6 + [[open_at - 3, 6.0, BLIND_POOL]] * 40
    played = Played()
    limit = open_at + 180
    with watched(cluster, f"worker-{BLIND_POOL}") as seen:
        player = threading.Thread(
            target=play, args=(cluster, plan(tasks, [BLIND_POOL], limit_seconds=limit)), kwargs={"into": played}
        )
        player.start()
        wait_until(lambda: played.published, what="the first task", timeout_seconds=30)
        zero = played.first_publish
        wait_until(lambda: now() >= zero + shut_at, what="the pool to have grown", timeout_seconds=60, interval=0.1)
        turn_door(cluster, is_open=False)
        shut, asked_then = now(), seen.asked
        say(f"    the operator is blind from now on for {blind_seconds:g} s; {asked_then} replicas are asked for")
        wait_until(lambda: now() >= zero + open_at, what="the end of the blindness", timeout_seconds=blind_seconds + 60)
        opened = now()
        turn_door(cluster, is_open=True)
        wait_until(lambda: seen.asked >= BLIND_CAP, what="the pool to be right again", timeout_seconds=60, interval=0.1)
        player.join()
        grown = next(at for at, asked, _ in seen.changes if at >= opened and asked >= BLIND_CAP)
        return {
            "blind_seconds": round(opened - shut, 1),
            "replicas_when_it_began": asked_then,
            "scale_downs": lowered([seen], since=shut, until=opened),
            "right_again_seconds": round(grown - opened, 2),
            "tasks_not_ended": sum(not task.ends for task in played.tasks(zero)),
            "redelivered": sum(played.redelivered.values()),
        }


def checks(found: dict[str, Any], limits: dict[str, float]) -> list[dict[str, Any]]:
    """Compare with the thresholds."""
    answers = []
    for name, limit in limits.items():
        part, _, rest = name.partition("_")
        figure, _, side = rest.rpartition("_at_")
        measured = found[part][figure]
        is_met = measured <= limit if side == "most" else measured >= limit
        answers.append({"name": f"{part}: {figure}", "measured": measured, f"at_{side}": limit, "is_met": is_met})
    return answers


def main() -> int:
    """Run both, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blind-seconds", type=float, default=75.0, help="the simulated one lasts the full 10 minutes")
    parser.add_argument("--thresholds", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    clean_up_when_told_to_stop()
    cluster = Cluster(NAMESPACE)
    try:
        with rig(cluster), operator(cluster, broker_host="door"):
            found = {
                "shrink": shrink(cluster),
                "blind": go_blind(cluster, blind_seconds=arguments.blind_seconds),
            }
            judged = checks(found, yaml.safe_load(arguments.thresholds.read_text()))
            arguments.report.write_text(json.dumps({**found, "thresholds": judged}, indent=2) + "\n")
            print(json.dumps(found, indent=2))  # noqa: T201 - the report is for the terminal
            print(verdicts(judged))  # noqa: T201 - the report is for the terminal
    except BenchError as error:
        sys.exit(f"The benchmark broke off: {error}")
    return 0 if all(each["is_met"] for each in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
