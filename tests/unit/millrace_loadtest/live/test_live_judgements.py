import pytest

from millrace_contracts.metrics import LOOP_SECONDS
from millrace_loadtest.live import cost
from millrace_loadtest.live.cost import growth, quantile_of_buckets
from millrace_loadtest.live.loads import burst, on_off
from millrace_loadtest.live.scale_downs import POOLS, checks, waves


def test_a_burst_comes_at_once() -> None:
    assert {(0.0, 5.0)} == set(burst().tasks)
    assert 100 == len(burst().tasks)


def test_the_on_off_load_is_silent_for_half_of_each_period() -> None:
    load = on_off(periods=3, half_seconds=60.0)

    assert load.tasks
    assert all(at % 120.0 < 60.0 for at, _ in load.tasks)


def test_every_scaler_meets_the_same_on_off_load() -> None:
    assert on_off() == on_off()


def test_every_task_of_a_shrinking_pool_outlasts_the_grace_period() -> None:
    tasks = waves(POOLS, seed=1)

    assert set(POOLS) == {pool for _, _, pool in tasks}
    assert all(seconds > 5 for _, seconds, _ in tasks)


def test_a_threshold_names_the_part_the_figure_and_the_side() -> None:
    found = {"shrink": {"steps_down": 99, "redelivered": 0}}

    answers = checks(found, {"shrink_steps_down_at_least": 100, "shrink_redelivered_at_most": 0})

    assert [False, True] == [each["is_met"] for each in answers]


def test_a_quantile_is_of_the_passes_since_the_first_look() -> None:
    name = f"{LOOP_SECONDS.name}_bucket"
    before = {f"{name} 0.5": 0.0, f"{name} 1.0": 50.0, f"{name} +Inf": 50.0}
    after = {f"{name} 0.5": 100.0, f"{name} 1.0": 150.0, f"{name} +Inf": 150.0}

    assert 0.495 == pytest.approx(quantile_of_buckets(before, after, 0.99))


def test_passes_beyond_the_last_bucket_have_no_upper_end() -> None:
    name = f"{LOOP_SECONDS.name}_bucket"

    assert float("inf") == quantile_of_buckets({}, {f"{name} 1.0": 0.0, f"{name} +Inf": 10.0}, 0.99)


def test_growth_compares_what_one_pool_costs() -> None:
    runs = [{"pools": 250, "cores": 0.1}, {"pools": 1000, "cores": 0.3}]

    assert 0.75 == growth(runs, "cores")


def test_one_size_says_nothing_of_growth() -> None:
    run = {"pools": 1000, "tick_p99_seconds": 2.0, "cores": 0.4, "peak_mib": 280.0, "failed_passes": 0}

    answers = cost.checks([run], {"tick_p99_seconds": 1.0, "cores": 0.5, "growth_of_cores": 1.25})

    assert {"tick_p99_seconds": False, "cores": True} == {each["name"]: each["is_met"] for each in answers}


def test_of_an_exposition_the_process_and_the_loop_over_the_pools_are_taken() -> None:
    text = """# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
# TYPE millrace_loop_duration_seconds histogram
millrace_loop_duration_seconds_bucket{le="1.0",loop="pools"} 190.0
millrace_loop_duration_seconds_bucket{le="1.0",loop="jobs"} 200.0
millrace_loop_duration_seconds_count{loop="pools"} 194.0
# TYPE millrace_loop_failures_total counter
millrace_loop_failures_total{loop="pools"} 1.0
millrace_pool_replicas{namespace="ml",pool="digits"} 3.0
"""

    expected = {
        "process_cpu_seconds_total": 12.5,
        "millrace_loop_duration_seconds_bucket 1.0": 190.0,
        "millrace_loop_duration_seconds_count": 194.0,
        "millrace_loop_failures_total": 1.0,
    }
    assert expected == cost.samples_in(text)
