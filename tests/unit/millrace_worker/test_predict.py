"""Batches in flight, bisecting and retries."""

# ruff: noqa: D102 - the stand-in has the one method of what it stands for

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace_contracts.errors import RecordError
from millrace_contracts.tasks import RetryAction, RetryRule
from millrace_worker.errors import (
    BatchFailed,
    BatchRejected,
    JobOver,
    RetriesExhausted,
    TritonTooSlow,
    TritonUnavailable,
)
from millrace_worker.inference import predict as engine
from millrace_worker.inference.predict import Limits, NotPredicted, Predicted, predict
from millrace_worker.inference.retry_policy import Pace

PACE = Pace(first_pause_seconds=0.0001, longest_pause_seconds=0.001, patience_seconds=0.05)
LIMITS = Limits(requests_in_flight=3, retries_per_record=2)


class Model:
    """Doubles a position; rejects, fails on or waits for those that it was told to."""

    def __init__(self, *, rejects: set[int] | None = None, fails: dict[int, int] | None = None) -> None:
        self.rejects = rejects or set()
        self.fails = fails or {}
        self.sent: Counter[int] = Counter()
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def send(self, positions: tuple[int, ...]) -> list[dict[str, Any]]:
        with self._lock:
            self.sent.update(positions)
            self.sizes.append(len(positions))
            if any(position in self.rejects for position in positions):
                raise BatchRejected("no such shape")
            if bad := [position for position in positions if self.fails.get(position, 0) > 0]:
                if len(positions) == 1:
                    self.fails[bad[0]] -= 1
                raise BatchFailed("the model fell over")
        return [{"y": 2 * position} for position in positions]


def batches_of(count: int, size: int) -> list[tuple[int, ...]]:
    return [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]


def run(model: Model, count: int = 10, size: int = 4) -> dict[int, engine.Outcome]:
    return predict(batches_of(count, size), send=model.send, limits=LIMITS, pace=PACE)


@settings(max_examples=50)
@given(count=st.integers(1, 40), size=st.integers(1, 16), data=st.data())
def test_exactly_the_bad_records_fail_and_all_others_are_predicted(count: int, size: int, data: st.DataObject) -> None:
    positions = st.integers(0, count - 1)
    rejected = data.draw(st.sets(positions, max_size=6))
    broken = data.draw(st.sets(positions, max_size=6)) - rejected
    outcomes = run(Model(rejects=rejected, fails=dict.fromkeys(broken, 1000)), count, size)
    assert set(outcomes) == set(range(count))
    codes = {i: outcome.code for i, outcome in outcomes.items() if isinstance(outcome, NotPredicted)}
    assert codes == {
        **dict.fromkeys(rejected, RecordError.REJECTED_BY_MODEL),
        **dict.fromkeys(broken, RecordError.INFERENCE_FAILED),
    }
    good = {i: outcome.outputs for i, outcome in outcomes.items() if isinstance(outcome, Predicted)}
    assert good == {i: {"y": 2 * i} for i in range(count) if i not in codes}


def test_a_record_that_fails_once_alone_is_predicted_by_a_retry() -> None:
    outcomes = run(Model(fails={3: 1}))
    assert outcomes[3] == Predicted(outputs={"y": 6}, attempts=2)


def test_a_record_is_given_up_after_its_retries_and_says_so() -> None:
    outcomes = run(Model(fails={3: 1000}))
    assert outcomes[3] == NotPredicted(code=RecordError.INFERENCE_FAILED, message="the model fell over", attempts=3)


def test_a_rejected_record_is_not_tried_again_alone() -> None:
    model = Model(rejects={0})
    outcomes = run(model, count=1)
    assert outcomes[0] == NotPredicted(code=RecordError.REJECTED_BY_MODEL, message="no such shape", attempts=1)
    assert model.sent[0] == 1


def test_an_outage_shorter_than_patience_spends_nothing() -> None:
    model, outages = Model(), iter(range(4))

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        if next(outages, None) is not None:
            raise TritonUnavailable("not now")
        return model.send(positions)

    outcomes = predict(batches_of(10, 4), send=send, limits=LIMITS, pace=replace(PACE, patience_seconds=60))
    assert outcomes == {i: Predicted(outputs={"y": 2 * i}, attempts=1) for i in range(10)}


def test_an_outage_longer_than_patience_gives_the_shard_back() -> None:
    def send(_: tuple[int, ...]) -> list[dict[str, Any]]:
        raise TritonUnavailable("Triton at host:8001 is not available")

    with pytest.raises(TritonUnavailable, match="host:8001"):
        predict(batches_of(10, 4), send=send, limits=LIMITS, pace=PACE)


def test_while_requests_take_too_long_fewer_are_under_way() -> None:
    busiest: list[int] = []
    under_way, lock = 0, threading.Lock()
    first_four = threading.Barrier(4)

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        nonlocal under_way
        with lock:
            under_way += 1
            busiest.append(under_way)
            is_early = len(busiest) <= first_four.parties
        if is_early:
            first_four.wait(10)
        with lock:
            under_way -= 1
        raise BatchFailed(f"too slow: {positions}", status="DEADLINE_EXCEEDED")

    limits = Limits(requests_in_flight=4, retries_per_record=0)
    outcomes = predict(batches_of(32, 1), send=send, limits=limits, pace=PACE)
    assert all(isinstance(outcome, NotPredicted) for outcome in outcomes.values())
    assert 4 == max(busiest)
    assert 1 == max(busiest[16:])


def test_a_batch_that_is_too_slow_is_made_smaller() -> None:
    model = Model()

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        if len(positions) > 2:
            raise TritonTooSlow("too slow")
        return model.send(positions)

    outcomes = predict([tuple(range(8))], send=send, limits=LIMITS, pace=PACE)
    assert len(outcomes) == 8
    assert max(model.sizes) == 2


def test_no_more_requests_are_in_flight_than_allowed() -> None:
    lock, now, most = threading.Lock(), 0, 0
    gate = threading.Barrier(LIMITS.requests_in_flight)

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.wait(timeout=5)
        with lock:
            now -= 1
        return [{} for _ in positions]

    predict(batches_of(9, 1), send=send, limits=LIMITS, pace=PACE)
    assert most == LIMITS.requests_in_flight


def test_a_job_that_is_over_ends_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0.01)
    model = Model(fails={0: 1000})

    def check() -> None:
        raise JobOver

    pace = Pace(first_pause_seconds=0.02, longest_pause_seconds=0.02)
    with pytest.raises(JobOver):
        predict([(0,)], send=model.send, limits=LIMITS, pace=pace, check=check)


def test_what_is_no_batch_error_ends_the_shard() -> None:
    def send(_: tuple[int, ...]) -> list[dict[str, Any]]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        predict([(0,)], send=send, limits=LIMITS, pace=PACE)


def with_rules(*rules: RetryRule, retries: int = 2, isolates: bool = True) -> Limits:
    return replace(LIMITS, rules=rules, retries_per_record=retries, isolates=isolates)


def run_with(model: Model, limits: Limits, count: int = 10) -> dict[int, engine.Outcome]:
    return predict(batches_of(count, 4), send=model.send, limits=limits, pace=PACE)


def failure(outcome: engine.Outcome) -> NotPredicted:
    assert isinstance(outcome, NotPredicted)
    return outcome


def test_a_rule_fails_a_record_without_a_retry() -> None:
    model = Model(fails={3: 1000})
    rule = RetryRule(action=RetryAction.FAIL_RECORD, on_message_contains="fell over")
    assert 1 == failure(run_with(model, with_rules(rule))[3]).attempts


def test_a_rule_retries_what_was_rejected() -> None:
    rule = RetryRule(action=RetryAction.RETRY, on_message_contains="no such shape")
    refused = failure(run_with(Model(rejects={3}), with_rules(rule))[3])
    assert (RecordError.REJECTED_BY_MODEL, 3) == (refused.code, refused.attempts)


def test_a_rule_that_ignores_fails_the_record_outside_the_budget() -> None:
    outcomes = run_with(Model(rejects={3}), with_rules(RetryRule(action=RetryAction.IGNORE)))
    assert failure(outcomes[3]).is_ignored
    assert {3} == {i for i, outcome in outcomes.items() if isinstance(outcome, NotPredicted)}


def test_a_rule_ends_the_whole_job() -> None:
    with pytest.raises(RetriesExhausted, match="fell over"):
        run_with(Model(fails={3: 1000}), with_rules(RetryRule(action=RetryAction.FAIL_JOB)))


def test_the_records_of_a_batch_fail_together_where_failures_are_not_isolated() -> None:
    model = Model(fails={3: 1000})
    # A batch is not cut, so the model fails on it as often as it is sent.
    outcomes = run_with(model, with_rules(isolates=False))
    assert {0, 1, 2, 3} == {i for i, outcome in outcomes.items() if isinstance(outcome, NotPredicted)}
    assert {3} == {failure(outcomes[i]).attempts for i in range(4)}


def test_overload_never_spends_a_retry_and_lowers_concurrency() -> None:
    model, lock, now, most_after = Model(), threading.Lock(), 0, 0
    refusals = iter(range(6))

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        nonlocal now, most_after
        with lock:
            now += 1
            refused = next(refusals, None) is not None
            most_after = max(most_after, 0 if refused else now)
        try:
            if refused:
                raise TritonUnavailable("Exceeds maximum queue size")
            return model.send(positions)
        finally:
            with lock:
                now -= 1

    limits = with_rules(RetryRule(action=RetryAction.FAIL_JOB), retries=0)
    outcomes = predict(batches_of(1, 1), send=send, limits=limits, pace=replace(PACE, patience_seconds=60))
    assert outcomes == {0: Predicted(outputs={"y": 0}, attempts=1)}
    assert 1 == most_after


def test_a_record_whose_time_is_over_each_time_fails_where_a_rule_names_that() -> None:
    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        if 2 in positions:
            raise TritonTooSlow("too slow")
        return [{"y": 2 * position} for position in positions]

    rule = RetryRule(action=RetryAction.FAIL_RECORD, on_codes=["DEADLINE_EXCEEDED"])
    outcomes = predict([(0, 1, 2, 3)], send=send, limits=with_rules(rule), pace=replace(PACE, patience_seconds=60))
    assert {2} == {i for i, outcome in outcomes.items() if isinstance(outcome, NotPredicted)}


def test_batches_are_made_while_earlier_ones_are_at_the_model() -> None:
    gate, made = threading.Event(), 0

    def batches() -> Iterator[tuple[int, ...]]:
        nonlocal made
        for made in range(1, 6):
            if made == LIMITS.requests_in_flight + 1:
                gate.set()
            yield (made,)

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        assert gate.wait(5)
        return [{"y": position} for position in positions]

    assert 5 == len(predict(batches(), send=send, limits=LIMITS, pace=PACE))


def test_a_thread_that_has_its_answer_sends_the_next_batch_without_waiting_for_the_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0)
    has_begun, has_gone_on = threading.Event(), threading.Event()

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        assert has_begun.wait(5)
        if positions == (1,):
            has_gone_on.set()
        return [{} for _ in positions]

    def hold_the_caller() -> None:
        has_begun.set()
        assert has_gone_on.wait(5)

    limits = replace(LIMITS, requests_in_flight=1)
    outcomes = predict(batches_of(3, 1), send=send, limits=limits, pace=PACE, check=hold_the_caller)
    assert {0, 1, 2} == set(outcomes)


def test_nothing_more_is_sent_once_the_caller_has_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CHECK_SECONDS", 0)
    is_given_up, sent = threading.Event(), []

    def send(positions: tuple[int, ...]) -> list[dict[str, Any]]:
        sent.append(threading.current_thread())
        assert is_given_up.wait(5)
        return [{} for _ in positions]

    def check() -> None:
        raise JobOver

    limits = replace(LIMITS, requests_in_flight=1)
    with pytest.raises(JobOver):
        predict(batches_of(3, 1), send=send, limits=limits, pace=PACE, check=check)
    is_given_up.set()
    for thread in set(sent):
        thread.join(5)
    assert 1 == len(sent)


@settings(max_examples=30)
@given(bad=st.sets(st.integers(0, 19), max_size=5), size=st.integers(1, 8))
def test_the_same_input_has_the_same_outcome_whatever_the_batches(bad: set[int], size: int) -> None:
    assert run(Model(rejects=bad), 20, size) == run(Model(rejects=bad), 20, 4)
