"""Who is at fault when a request takes too long: a record that holds the model up, and none of its neighbours."""

# ruff: noqa: D102 - the stand-in has the one method of what it stands for

import threading
from collections.abc import Set as AbstractSet
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_contracts.errors import RecordError
from millrace_worker.errors import BatchFailed
from millrace_worker.inference.predict import Limits, NotPredicted, Outcome, Predicted, predict
from millrace_worker.inference.retry_policy import Pace

PACE = Pace(first_pause_seconds=0.0001, longest_pause_seconds=0.001, patience_seconds=0.05)


class HeldUpModel:
    """One instance that some records hold up: so many requests that come after one of these are late too."""

    def __init__(self, culprits: AbstractSet[int], *, held_for: int) -> None:
        self._culprits = culprits
        self._held_for = held_for
        self._left = 0
        self._lock = threading.Lock()
        self.alone: list[int] = []

    def send(self, positions: tuple[int, ...]) -> list[dict[str, Any]]:
        with self._lock:
            if len(positions) == 1:
                self.alone += positions
            if self._left:
                self._left -= 1
                raise BatchFailed("not in time", status="DEADLINE_EXCEEDED")
            if self._culprits & set(positions):
                self._left = self._held_for
                raise BatchFailed("not in time", status="DEADLINE_EXCEEDED")
        return [{"y": position} for position in positions]


def run(model: HeldUpModel, *, count: int, size: int = 4, retries: int = 0, in_flight: int = 3) -> dict[int, Outcome]:
    batches = [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]
    limits = Limits(requests_in_flight=in_flight, retries_per_record=retries)
    return predict(batches, send=model.send, limits=limits, pace=PACE)


def failed(outcomes: dict[int, Outcome]) -> dict[int, int]:
    """Answer the tries of those that failed."""
    return {i: outcome.attempts for i, outcome in outcomes.items() if isinstance(outcome, NotPredicted)}


@settings(max_examples=60)
@given(data=st.data(), count=st.integers(8, 40), size=st.integers(1, 8), retries=st.integers(0, 2))
def test_only_the_records_that_hold_the_model_up_fail_and_only_they_spend_retries(
    data: st.DataObject, count: int, size: int, retries: int
) -> None:
    # Some record is answered before the first of them comes.
    culprits = data.draw(st.sets(st.integers(8, max(8, count - 1)), max_size=4)) & set(range(count))
    model = HeldUpModel(culprits, held_for=data.draw(st.integers(0, 2)))
    outcomes = run(model, count=count, size=size, retries=retries, in_flight=1)
    assert dict.fromkeys(culprits, retries + 1) == failed(outcomes)
    assert {1} >= {outcome.attempts for outcome in outcomes.values() if isinstance(outcome, Predicted)}
    assert set(range(count)) == set(outcomes)


def test_the_neighbours_of_a_late_record_are_answered_also_where_several_requests_are_under_way() -> None:
    assert {5: 1} == failed(run(HeldUpModel({5}, held_for=2), count=12))


def test_a_model_that_is_too_slow_for_every_record_fails_them_with_the_reason() -> None:
    outcomes = run(HeldUpModel(set(range(8)), held_for=0), count=8)
    told = {(outcome.code, outcome.message) for outcome in outcomes.values() if isinstance(outcome, NotPredicted)}
    assert {(RecordError.INFERENCE_FAILED, "not in time")} == told
    assert set(range(8)) == set(failed(outcomes))


def test_the_only_record_of_a_task_is_late_by_its_own_fault() -> None:
    model = HeldUpModel({0}, held_for=0)
    assert ({0: 1}, [0]) == (failed(run(model, count=1, size=1)), model.alone)


def test_a_model_that_answers_nobody_any_more_is_not_waited_for_without_end() -> None:
    model = HeldUpModel({3}, held_for=10_000)
    assert 3 in failed(run(model, count=6, size=1, in_flight=1))
    assert len(model.alone) < 30
