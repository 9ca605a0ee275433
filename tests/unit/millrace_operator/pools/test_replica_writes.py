"""Somebody else who changes replicas is noticed and left alone, and our own writes are never mistaken for one."""

from millrace_operator.model.decision import ScaleOutcome
from millrace_operator.pools.replica_writes import ReplicaWrites


def wrote(replicas: int, *, at: float = 0.0) -> ReplicaWrites:
    writes = ReplicaWrites()
    writes.note(ScaleOutcome(previous=0, current=replicas), now=at)
    return writes


def seen(writes: ReplicaWrites, replicas: int, *, at: float, manager: str = "kubectl-scale") -> str:
    return writes.look(replicas, manager=manager, now=at)


def test_our_own_write_is_not_somebody_else() -> None:
    writes = wrote(3)

    assert ["", "", ""] == [seen(writes, 0, at=1), seen(writes, 3, at=2), seen(writes, 3, at=3)]


def test_a_change_of_what_we_wrote_is_somebody_else_and_is_said_once() -> None:
    writes = wrote(3)
    seen(writes, 3, at=1)

    assert seen(writes, 5, at=2).startswith("Replicas were changed from 3 to 5 by kubectl-scale. They are left alone")
    assert seen(writes, 5, at=3) == ""


def test_another_autoscaler_is_called_by_its_name() -> None:
    writes = wrote(3)
    seen(writes, 3, at=1)

    assert "(a HorizontalPodAutoscaler or KEDA)" in seen(writes, 5, at=2, manager="kube-controller-manager")


def test_what_stood_there_before_our_first_write_is_nobody_else() -> None:
    writes = ReplicaWrites()

    assert ["", ""] == [seen(writes, 2, at=0), seen(writes, 4, at=1)]


def test_a_write_of_ours_whose_answer_was_lost_is_nobody_else() -> None:
    writes = wrote(3)
    seen(writes, 3, at=1)

    assert seen(writes, 7, at=2, manager="millrace-operator") == ""


def test_what_another_writes_over_ours_at_once_is_noticed_too() -> None:
    writes = wrote(3)

    assert ["", True] == [seen(writes, 9, at=1), "from 3 to 9" in seen(writes, 9, at=4)]


def test_until_the_watch_shows_our_write_it_is_what_is_asked_but_not_for_long() -> None:
    writes = wrote(3)

    assert [3, 0] == [writes.asked(0, now=1), writes.asked(0, now=10)]


def test_the_truce_doubles_each_time_and_ends() -> None:
    writes, ends = wrote(3), []
    for beginning in (10.0, 100.0, 200.0):
        seen(writes, 3, at=beginning)
        seen(writes, 5, at=beginning + 1)
        ends.append(next(after for after in range(1000) if not writes.has_truce(beginning + 1 + after)))
        writes.note(ScaleOutcome(previous=5, current=3), now=beginning + 80)

    assert [30, 60, 120] == ends
