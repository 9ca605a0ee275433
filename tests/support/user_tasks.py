"""Tasks as a team writes them, with results: MILLRACE_TASK_MODULES names this module in tests of result backends."""

from collections.abc import Sequence
from typing import Any

from celery import shared_task


@shared_task(name="users.add", ignore_result=False)  # type: ignore[untyped-decorator] # celery has no types
def add(x: int, y: int) -> int:
    """Answer the sum of two."""
    return x + y


@shared_task(name="users.total", ignore_result=False)  # type: ignore[untyped-decorator] # celery has no types
def total(numbers: Sequence[int]) -> int:
    """Answer the sum of many."""
    return sum(numbers)


@shared_task(name="users.fail", ignore_result=False)  # type: ignore[untyped-decorator] # celery has no types
def fail(why: str) -> None:
    """Fail."""
    raise ValueError(why)


@shared_task(name="users.second_try", bind=True, ignore_result=False)  # type: ignore[untyped-decorator] # celery has no types
def second_try(self: Any) -> int:
    """Succeed when it is tried again."""
    if self.request.retries == 0:
        # Not at once: where the second run ends before the first has written down that it is tried again, most backends
        # keep the latter. Redis alone refuses to replace a success.
        raise self.retry(countdown=1, max_retries=1)
    return int(self.request.retries)
