"""Whatever happens around it, a drain interrupts no task and loses no worker."""

from typing import Any

from drain_world import World
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_operator.api.worker_pool import PoolPolicy

MOMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "desired": st.integers(0, 6),
            "arrivals": st.sampled_from([0, 0, 0, 1, 2, 5]),
            "seconds": st.sampled_from([0.25, 1.0, 1.0, 3.0]),
            "forgets": st.sampled_from([False] * 9 + [True]),
            "is_blind": st.sampled_from([False] * 5 + [True]),
        }
    ),
    max_size=60,
)
POOLS = st.fixed_dictionaries(
    {
        "pods": st.integers(0, 6),
        "concurrency": st.integers(1, 3),
        "task_seconds": st.sampled_from([0.25, 1.0, 7.0, 40.0]),
        "start_seconds": st.sampled_from([0.5, 3.0, 8.0]),
        "watch_delay_seconds": st.sampled_from([0.0, 0.75]),
    }
)
ANSWERS = st.booleans()
"""False: the workers are without remote control."""


def play(made: dict[str, Any], moments: list[dict[str, Any]], *, answers: bool = True) -> World:
    policy = PoolPolicy(
        concurrency=made["concurrency"], min_replicas=0, max_replicas=6, idle_seconds=10.0, drain_timeout_seconds=30.0
    )
    pool = World(
        pods=made["pods"],
        policy=policy,
        task_seconds=made["task_seconds"],
        start_seconds=made["start_seconds"],
        answers=answers,
    )
    pool.watch_delay_seconds = made["watch_delay_seconds"]
    for moment in moments:
        pool.waiting += moment["arrivals"]
        pool.is_blind = moment["is_blind"]
        if moment["forgets"]:
            pool.memory = None
        # An unreadable queue keeps its size: the decision never asks for less then.
        desired = max(pool.asked, moment["desired"]) if pool.is_blind else moment["desired"]
        pool.step(desired, seconds=moment["seconds"])
    return pool


@settings(max_examples=80)
@given(POOLS, MOMENTS)
def test_no_task_is_ever_interrupted(made: dict[str, Any], moments: list[dict[str, Any]]) -> None:
    assert [] == play(made, moments).interrupted


@settings(max_examples=40)
@given(POOLS, MOMENTS)
def test_every_pod_works_again_once_it_is_needed(made: dict[str, Any], moments: list[dict[str, Any]]) -> None:
    pool = play(made, moments)
    pool.is_blind = False

    pool.steps(max(pool.asked, 1), seconds=45)

    assert set(pool.pods) == pool.consuming
    assert set() == pool.draining


@settings(max_examples=40)
@given(made=POOLS, moments=MOMENTS, answers=ANSWERS)
def test_an_idle_pool_reaches_its_size(made: dict[str, Any], moments: list[dict[str, Any]], *, answers: bool) -> None:
    pool = play(made, moments, answers=answers)
    pool.is_blind, pool.waiting = False, 0

    pool.steps(0, seconds=200)

    assert {} == pool.pods
    assert [] == pool.interrupted
