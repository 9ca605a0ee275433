"""Play a load against an autoscaler, from the first second until every task has ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from millrace_loadtest.simulator.ledger import Outcome
from millrace_loadtest.simulator.pool import Phase, SimulatedPool
from millrace_loadtest.simulator.scaler import Goal, Scaler

PATIENCE_SECONDS: Final = 6 * 3600.0
"""A policy that has not ended the work so long after the load is stopped there; its tasks have waited until then."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a picture shows of one second."""

    at: float
    waiting: int
    wait_seconds: float
    """How long the oldest waiting task has waited."""
    asked: int
    serving: int


def play(pool: SimulatedPool, scaler: Scaler, goal: Goal, *, film: list[Moment] | None = None) -> Outcome:
    """Play one pool; a film, if given, gets one moment a second."""
    scaler.begin(pool)
    play_together([(pool, scaler)], film=film)
    return close(pool, goal)


def play_together(pools: Sequence[tuple[SimulatedPool, Scaler]], *, film: list[Moment] | None = None) -> None:
    """Play pools side by side, each under its own scaler; the film is of the first."""
    horizon = max(pool.workload.horizon for pool, _ in pools)
    shown_until = 0.0
    while True:
        at = min(scaler.next_at for _, scaler in pools)
        if film is not None:
            while shown_until < at:
                pools[0][0].advance(shown_until)
                film.append(moment_of(pools[0][0]))
                shown_until += 1.0
        if at >= horizon and (all(pool.is_done for pool, _ in pools) or at > horizon + PATIENCE_SECONDS):
            break
        for pool, scaler in pools:
            if scaler.next_at <= at:
                pool.advance(at)
                scaler.act(pool)
    for pool, _ in pools:
        pool.advance(max(pool.now, horizon))


def moment_of(pool: SimulatedPool) -> Moment:
    """Look at a pool."""
    oldest = pool.workload.arrivals[pool.waiting[0]] if pool.waiting else pool.now
    serving = sum(pod.phase is Phase.SERVING for pod in pool.pods)
    return Moment(pool.now, len(pool.waiting), pool.now - oldest, len(pool.alive), serving)


def close(pool: SimulatedPool, goal: Goal) -> Outcome:
    """Come to the end of a pool's play."""
    return pool.ledger.close(
        now=pool.now,
        still_living=sum(pool.now - pod.created_at for pod in pool.pods),
        max_replicas=goal.max_replicas,
        objective_seconds=goal.wait_seconds,
    )
