from random import Random

import pytest

from millrace_loadtest.simulator.keda import Keda, KedaSettings
from millrace_loadtest.simulator.play import play
from millrace_loadtest.simulator.pool import PodTraits, SimulatedPool
from millrace_loadtest.simulator.scaler import Goal
from millrace_loadtest.simulator.workload import Workload


def steps_of(settings: KedaSettings, *, tasks: int, seconds: float, cap: int) -> list[tuple[float, int, int]]:
    """Writes of `replicas` after a burst at second 0."""
    chance = Random(1)
    load = Workload(arrivals=[0.0] * tasks, services=[seconds] * tasks, horizon=900.0, rate=lambda _: 0.0)
    pool = SimulatedPool(load, PodTraits(cold_start_seconds=2.0), chance=chance)
    goal = Goal(max_replicas=cap)
    play(pool, Keda(settings, goal, grace_seconds=30.0, chance=chance), goal)
    return pool.ledger.writes


def test_a_burst_is_climbed_in_the_steps_that_the_hpa_allows() -> None:
    # Measured on kind with KEDA 2.21: 1, 4, 8, 16, 20; the HPA's documented limits give 1, 5, 10, 20.
    written = steps_of(KedaSettings(length_target=1.0, poll_seconds=5.0), tasks=100, seconds=60.0, cap=20)
    assert [1, 5, 10, 20] == [after for _, before, after in written if after > before]


def test_the_way_up_takes_a_sync_for_each_step() -> None:
    written = steps_of(KedaSettings(length_target=1.0, poll_seconds=5.0), tasks=100, seconds=60.0, cap=20)
    ups = [at for at, before, after in written if after > before]
    assert [15.0, 15.0] == pytest.approx([ups[2] - ups[1], ups[3] - ups[2]])


def test_the_last_pod_goes_when_the_cooldown_is_over() -> None:
    written = steps_of(
        KedaSettings(length_target=1.0, poll_seconds=5.0, cooldown_seconds=60.0), tasks=1, seconds=5.0, cap=20
    )
    assert [(0, 1), (1, 0)] == [(before, after) for _, before, after in written]
    assert 60.0 <= written[1][0] - written[0][0] <= 60.0 + 5.0 + 5.0 + 12.0


def test_the_window_of_the_hpa_holds_the_highest_recommendation() -> None:
    written = steps_of(KedaSettings(length_target=1.0, poll_seconds=5.0), tasks=20, seconds=5.0, cap=20)
    reached = next(at for at, _, after in written if after == max(step[2] for step in written))
    first_down = next(at for at, before, after in written if after < before)
    assert first_down - reached >= 285.0
