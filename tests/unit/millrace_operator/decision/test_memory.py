"""What a pool's status remembers after a restart of the operator."""

import pytest

from millrace_operator.decision.memory import Memory, recall


def test_status_remembers_the_time_of_a_task_and_the_cold_start() -> None:
    memory = recall({"serviceSeconds": "5.1", "coldStartSeconds": "2.3"})

    assert memory is not None
    assert (5.1, 2.3) == (memory.service_seconds, memory.cold_start_seconds)


def test_each_of_them_is_remembered_alone() -> None:
    tasks, pods = recall({"serviceSeconds": "5.1"}), recall({"coldStartSeconds": "2.3"})

    assert tasks is not None
    assert pods is not None
    assert (5.1, None) == (tasks.service_seconds, tasks.cold_start_seconds)
    assert (None, 2.3) == (pods.service_seconds, pods.cold_start_seconds)


@pytest.mark.parametrize("value", [None, "", "unknown", "-1", "0", "nan", "inf", [], {}])
def test_what_makes_no_sense_is_measured_anew(value: object) -> None:
    assert recall({"serviceSeconds": value, "coldStartSeconds": value}) is None


def test_a_status_that_says_nothing_is_no_memory() -> None:
    assert recall({}) is None


def test_a_cold_start_is_the_ninetieth_percentile_of_the_last_starts() -> None:
    assert 9.0 == Memory(cold_starts=tuple(float(number) for number in range(1, 11))).cold_start_seconds
    assert 7.0 == Memory(cold_starts=(7.0,)).cold_start_seconds
    assert None is Memory().cold_start_seconds
