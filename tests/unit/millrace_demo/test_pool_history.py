from typing import Any

from millrace_demo.pool_history import PoolHistory


def pool(desired: int, waiting: int = 0, running: int = 0) -> dict[str, Any]:
    decision = {"reason": "BacklogToDrain", "message": "because"}
    queue = {"ready": waiting, "unacked": running}
    return {"status": {"desiredReplicas": desired, "queue": queue, "lastDecision": decision}}


def deployment(pods: int, ready: int) -> dict[str, Any]:
    return {"status": {"replicas": pods, "readyReplicas": ready}}


def up_and_down() -> PoolHistory:
    history = PoolHistory()
    history.add_pool(pool(0), 0.0)
    history.add_deployment({"status": {}}, 0.1)
    history.add_pool(pool(4, waiting=54), 1.0)
    history.add_deployment(deployment(4, 0), 1.1)
    history.add_deployment(deployment(4, 4), 9.0)
    history.add_pool(pool(4, waiting=12), 9.5)
    history.add_pool(pool(0), 30.0)
    history.add_deployment({"status": {}}, 30.5)
    return history


def test_the_table_has_a_row_for_each_change_of_size() -> None:
    sizes = [(row.seconds, *row.size) for row in up_and_down().rows()]
    assert [
        (0.1, 0, 0, 0),
        (1.0, 4, 0, 0),
        (1.1, 4, 4, 0),
        (9.0, 4, 4, 4),
        (30.0, 0, 4, 4),
        (30.5, 0, 0, 0),
    ] == sizes


def test_the_longest_queue_is_in_the_table_though_the_size_stays() -> None:
    history = PoolHistory()
    history.add_deployment(deployment(1, 1), 0.0)
    for second, waiting in enumerate((5, 40, 7)):
        history.add_pool(pool(1, waiting), float(second))
    assert [5, 40] == [row.waiting for row in history.rows()]


def test_the_most_work_at_a_time_is_in_the_table_though_the_size_stays() -> None:
    history = PoolHistory()
    history.add_deployment(deployment(4, 4), 0.0)
    for second, running in enumerate((1, 4, 2)):
        history.add_pool(pool(4, running=running), float(second))
    assert [1, 4] == [row.running for row in history.rows()]


def test_nothing_is_in_the_table_before_both_objects_were_seen() -> None:
    history = PoolHistory()
    history.add_pool(pool(0), 0.0)
    assert [] == history.rows()


def test_an_object_that_says_the_same_again_adds_nothing() -> None:
    history = up_and_down()
    before = history.latest
    history.add_deployment({"status": {}}, 99.0)
    assert before is history.latest


def test_a_pool_that_was_not_seen_is_not_idle() -> None:
    assert not PoolHistory().is_idle_at(0)


def test_a_pool_is_idle_when_it_wants_and_has_its_minimum() -> None:
    assert up_and_down().is_idle_at(0)


def test_a_pool_that_still_has_pods_is_not_idle() -> None:
    history = up_and_down()
    history.add_deployment(deployment(1, 0), 40.0)
    assert not history.is_idle_at(0)


def test_the_most_pods_are_remembered() -> None:
    assert 4 == up_and_down().most_pods


def test_a_pool_is_known_once_both_its_objects_were_seen() -> None:
    history = PoolHistory()
    history.add_pool(pool(0), 0.0)
    before = history.is_known
    history.add_deployment(deployment(0, 0), 0.1)
    assert (False, True) == (before, history.is_known)


def test_a_queue_that_cannot_be_read_is_unknown_and_not_empty() -> None:
    history = PoolHistory()
    history.add_pool({"status": {"desiredReplicas": 3}}, 0.0)
    assert history.latest.waiting is None
