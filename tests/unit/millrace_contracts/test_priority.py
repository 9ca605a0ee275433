"""A job never stands in front of tasks that name no priority, unless somebody asked for it."""

import pytest

from millrace_contracts.tasks import DEFAULT_PRIORITY, message_priority

CELERY = 0
"""What Celery names where a producer does not."""


@pytest.mark.parametrize("priority", range(DEFAULT_PRIORITY + 1))
def test_up_to_the_default_jobs_take_turns_with_celerys_tasks(priority: int) -> None:
    assert CELERY == message_priority(priority)


def test_from_there_on_each_step_is_a_level() -> None:
    assert [1, 2, 3, 4, 5] == [message_priority(priority) for priority in range(5, 10)]
