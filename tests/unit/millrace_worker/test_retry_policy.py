"""What an answer of Triton means, and how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.tasks import Backoff, RetryAction, RetryRule
from millrace_worker.inference.retry_policy import (
    Pace,
    Verdict,
    action_for,
    backoff_seconds,
    judge,
    pause_seconds,
    redelivery_seconds,
    rule_for,
)


@pytest.mark.parametrize(
    ("status", "message", "verdict"),
    [
        ("StatusCode.NOT_FOUND", "Request for unknown model: 'm' is not found", Verdict.MISSING),
        ("StatusCode.UNAVAILABLE", "Request for unknown model: 'm' has no available versions", Verdict.MISSING),
        ("StatusCode.INVALID_ARGUMENT", "unexpected shape for input", Verdict.REJECTED),
        ("StatusCode.INTERNAL", "the model raised", Verdict.FAILED),
        ("StatusCode.UNAVAILABLE", "Exceeds maximum queue size", Verdict.WAIT),
        ("StatusCode.UNAVAILABLE", "Request timeout expired", Verdict.WAIT),
        ("StatusCode.UNAVAILABLE", "Server is stopping, scheduler for model has stopped", Verdict.WAIT),
        ("StatusCode.UNAVAILABLE", "failed to connect to all addresses", Verdict.WAIT),
        ("StatusCode.DEADLINE_EXCEEDED", "Deadline Exceeded", Verdict.TOO_SLOW),
        (
            "StatusCode.UNIMPLEMENTED",
            "ModelInfer RPC doesn't support models with decoupled policy",
            Verdict.INCOMPATIBLE,
        ),
        ("StatusCode.UNIMPLEMENTED", "Received http2 header with status: 404", Verdict.WAIT),
        ("StatusCode.UNKNOWN", "", Verdict.FAILED),
        (None, "the answer cannot be read", Verdict.FAILED),
    ],
)
def test_an_error_is_judged_by_its_status(status: str | None, message: str, verdict: Verdict) -> None:
    assert judge(status, message) == verdict


@given(attempt=st.integers(0, 1000), jitter=st.floats(0, 1))
def test_a_pause_is_never_longer_than_the_longest(attempt: int, jitter: float) -> None:
    pace = Pace()
    assert 0 < pause_seconds(attempt, pace, jitter=jitter) <= pace.longest_pause_seconds


@given(retries=st.integers(0, 10_000), jitter=st.floats(0, 1))
def test_a_task_comes_again_within_1_to_30_whole_seconds(retries: int, jitter: float) -> None:
    assert redelivery_seconds(retries, jitter=jitter) in range(1, 31)


@pytest.mark.parametrize(
    ("rule", "is_matched"),
    [
        (RetryRule(action=RetryAction.IGNORE), True),
        (RetryRule(action=RetryAction.IGNORE, on_codes=["INTERNAL", "UNKNOWN"]), True),
        (RetryRule(action=RetryAction.IGNORE, on_codes=["INVALID_ARGUMENT"]), False),
        (RetryRule(action=RetryAction.IGNORE, on_message_contains="out of memory"), True),
        (RetryRule(action=RetryAction.IGNORE, on_codes=["INTERNAL"], on_message_contains="no such"), False),
    ],
)
def test_a_rule_matches_when_all_its_conditions_do(rule: RetryRule, *, is_matched: bool) -> None:
    found = rule_for([rule], status="INTERNAL", message="CUDA out of memory")
    assert is_matched == (found is rule)


def test_the_first_rule_that_matches_counts() -> None:
    rules = [RetryRule(action=action) for action in (RetryAction.FAIL_JOB, RetryAction.IGNORE)]
    assert RetryAction.FAIL_JOB is action_for(rules, status="INTERNAL", message="", is_rejected=False)


def test_without_a_rule_only_failures_are_retried() -> None:
    assert RetryAction.RETRY is action_for([], status="INTERNAL", message="", is_rejected=False)
    assert RetryAction.FAIL_RECORD is action_for([], status="INVALID_ARGUMENT", message="", is_rejected=True)


def test_pauses_of_a_record_grow_up_to_their_limit() -> None:
    backoff = Backoff(initial_delay_seconds=1, max_delay_seconds=10, multiplier_percent=300, jitter="None")
    assert [1, 3, 9, 10] == [backoff_seconds(i, backoff, jitter=0.5, longest=60) for i in range(4)]


@given(attempt=st.integers(0, 1000), jitter=st.floats(0, 1), longest=st.floats(0, 100))
def test_a_pause_of_a_record_fits_into_what_is_left(attempt: int, jitter: float, longest: float) -> None:
    assert 0 <= backoff_seconds(attempt, Backoff(), jitter=jitter, longest=longest) <= longest
