"""A process that must end is told from a step that fails."""

import pytest

from millrace_worker.pipeline.errors import is_stop


def stopped_at_a_lock() -> None:
    try:
        raise SystemExit(0)
    finally:
        raise RuntimeError("release unlocked lock")


def test_a_stop_is_seen_behind_the_error_that_a_lock_made_of_it() -> None:
    with pytest.raises(RuntimeError) as caught:
        stopped_at_a_lock()
    assert is_stop(caught.value)


def test_an_error_of_the_step_is_no_stop() -> None:
    assert not is_stop(ValueError("no purchases since Monday"))
