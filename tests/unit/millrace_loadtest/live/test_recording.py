from millrace_loadtest.live.recording import PodLife, Recording, Replicas, Task, figures

CAP = 4


def recording(**changes: object) -> Recording:
    found = {
        "scaler": "some",
        "load": "burst",
        "began": "2026-11-21T14:00:00+00:00",
        "tasks": (
            Task(id="a", seconds=5.0, published=0.0, starts=(2.0,), ends=(7.0,), pods=("one",)),
            Task(id="b", seconds=5.0, published=0.0, starts=(12.0,), ends=(17.0,), pods=("one",)),
        ),
        "replicas": (
            Replicas(at=-10.0, asked=0, ready=0),
            Replicas(at=1.5, asked=1, ready=0),
            Replicas(at=2.0, asked=1, ready=1),
            Replicas(at=9.0, asked=4, ready=1),
            Replicas(at=30.0, asked=0, ready=4),
        ),
        "pods": (PodLife(name="one", created=1.0, gone=31.0, told_to_stop=30.0),),
        "backlog": ((0.0, 2), (2.0, 1), (12.0, 0)),
        "redelivered": 0,
        "ended_at": 31.0,
    }
    return Recording(**{**found, **changes})  # type: ignore[arg-type]  # a test changes any of them


def of(made: Recording) -> dict[str, object]:
    return figures(made, cap=CAP, objective_seconds=10.0)


def test_a_run_is_read_back_as_it_was_written() -> None:
    assert recording() == Recording.from_json(recording().to_json())


def test_the_first_scale_up_and_the_cap_are_times_of_writes_not_of_ready_pods() -> None:
    found = of(recording())

    assert 1.5 == found["first_scale_up_seconds"]
    assert 9.0 == found["cap_asked_seconds"]


def test_a_change_of_ready_pods_is_no_write() -> None:
    assert 2 == of(recording())["writes_to_cap"]


def test_a_cap_that_was_never_asked_for_has_no_time() -> None:
    found = of(recording(replicas=(Replicas(at=0.0, asked=1, ready=0),)))

    assert None is found["cap_asked_seconds"]
    assert None is found["writes_to_cap"]


def test_a_task_that_never_started_counts_against_the_objective() -> None:
    lost = Task(id="c", seconds=5.0, published=0.0)

    found = of(recording(tasks=(*recording().tasks, lost)))

    assert 0.3333 == found["within_objective"]
    assert 1 == found["tasks_not_ended"]


def test_a_pod_costs_from_its_creation_until_it_is_gone() -> None:
    assert 30.0 == of(recording())["pod_seconds"]


def test_a_pod_that_outlives_the_run_costs_until_its_end() -> None:
    assert 29.0 == of(recording(pods=(PodLife(name="one", created=2.0, gone=None),)))["pod_seconds"]


def test_a_pod_that_is_stopped_between_tasks_was_idle() -> None:
    idle = PodLife(name="one", created=1.0, gone=9.0, told_to_stop=8.0)

    assert 0 == of(recording(pods=(idle,)))["busy_pods_told_to_stop"]


def test_a_pod_that_is_stopped_in_a_task_was_busy_even_if_the_task_could_end() -> None:
    busy = PodLife(name="one", created=1.0, gone=8.0, told_to_stop=6.0)

    found = of(recording(pods=(busy,)))

    assert 1 == found["busy_pods_told_to_stop"]
    assert 0 == found["tasks_killed"]


def test_a_start_without_an_end_is_a_killed_task() -> None:
    twice = Task(id="a", seconds=5.0, published=0.0, starts=(2.0, 9.0), ends=(14.0,), pods=("one", "two"))

    found = of(recording(tasks=(twice,)))

    assert 1 == found["tasks_killed"]
    assert 1 == found["tasks_started_twice"]
