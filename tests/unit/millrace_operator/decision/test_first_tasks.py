"""While few tasks have ended: what those say spares slots, and never asks for more."""

from timeline import Timeline, pool

from millrace_operator.model.decision import Reason


def after_one_task(*, task: float, cold_start: float) -> Timeline:
    """Answer a pool at 1000 s that has done one task, long ago, and has slept since."""
    return pool(objective=30, task=task, cold_start=cold_start).at(0).backlog(1).at(1000)


def test_what_one_task_took_spares_the_next_ones_a_slot_each() -> None:
    line = after_one_task(task=2, cold_start=5).backlog(3).expects(2, Reason.BACKLOG_TO_DRAIN)

    assert line.at(1060).on_time() == 1.0


def test_one_task_may_have_been_a_short_one() -> None:
    """Four times 10 s leave no time for a second task in the same slot."""
    after_one_task(task=10, cold_start=20).backlog(2).expects(2, Reason.BACKLOG_TO_DRAIN)


def test_tasks_that_may_be_longer_than_the_first_have_a_slot_each_at_most() -> None:
    after_one_task(task=100, cold_start=5).backlog(7).expects(7, Reason.BACKLOG_TO_DRAIN)


def test_where_pods_start_in_no_time_nothing_comes_while_they_do() -> None:
    pool(task=2, cold_start=0).at(0).backlog(1).at(3).backlog(3).expects(1, Reason.BACKLOG_TO_DRAIN)


def test_while_far_more_run_the_first_that_ended_say_nothing() -> None:
    """They are the short ones."""
    times = iter([0.1] + [20.0] * 100)
    line = pool(max_replicas=100, task=lambda: next(times), cold_start=2).at(0).backlog(20)

    line.at(6).backlog(40).expects(19 + 40, Reason.BACKLOG_TO_DRAIN)


def test_the_sentence_says_how_long_a_task_is_taken_to_last() -> None:
    said = after_one_task(task=2, cold_start=5).backlog(3).look().message

    assert "few tasks have ended so far, so each is taken to last" in said
