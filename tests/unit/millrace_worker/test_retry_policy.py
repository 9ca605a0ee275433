"""What an answer of Triton means, and how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_worker.inference.retry_policy import Pace, Verdict, judge, pause_seconds, redelivery_seconds


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
