import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import MillraceError, NotFound, Refused, Unauthorized, Unavailable, UnexpectedAnswer
from millrace.protocol import Reply, RetryPolicy, error_of, predict_call, prediction_call, retry_after_seconds

CHANCES = st.floats(0, 1)


@given(attempt=st.integers(0, 50), chance=CHANCES)
def test_the_client_never_waits_longer_than_its_policy_says(attempt: int, chance: float) -> None:
    policy = RetryPolicy(retries=100, longest_delay_seconds=5)

    delay = policy.delay_seconds(attempt, retry_after_seconds=None, chance=chance)

    assert delay is not None
    assert 0 < delay <= 5


@given(retry_after=st.floats(0, 5), chance=CHANCES)
def test_the_client_never_comes_back_before_it_is_told_to(retry_after: float, chance: float) -> None:
    delay = RetryPolicy(longest_delay_seconds=5).delay_seconds(0, retry_after_seconds=retry_after, chance=chance)

    assert delay is not None
    assert delay >= retry_after


@pytest.mark.parametrize(("attempt", "retry_after"), [(3, None), (3, 0.1), (0, 61.0)])
def test_the_client_gives_up_after_its_retries_or_when_it_is_told_to_wait_too_long(
    attempt: int, retry_after: float | None
) -> None:
    policy = RetryPolicy(retries=3, longest_delay_seconds=60)

    assert None is policy.delay_seconds(attempt, retry_after_seconds=retry_after, chance=0.5)


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), (None, None), ("Fri, 31 Dec 1999 23:59:59 GMT", None)])
def test_only_a_number_of_seconds_is_a_time_to_wait(text: str | None, seconds: float | None) -> None:
    assert seconds == retry_after_seconds(text)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Unauthorized),
        (403, Unauthorized),
        (404, NotFound),
        (409, Refused),
        (413, Refused),
        (422, Refused),
        (429, Unavailable),
        (500, UnexpectedAnswer),
        (503, Unavailable),
    ],
)
def test_each_status_is_an_error_of_its_kind_with_the_gateways_own_words(
    status: int, kind: type[MillraceError]
) -> None:
    error = error_of(Reply(status=status, retry_after="2", body={"error": {"code": "Why", "message": "because"}}))

    assert kind is type(error)
    assert "Why" == error.code
    assert "because" in str(error)


def test_an_error_without_a_body_that_is_ours_still_is_one() -> None:
    assert Unavailable is type(error_of(Reply(status=502, retry_after=None, body=None)))


def test_no_request_asks_the_gateway_to_hold_it_longer_than_it_may() -> None:
    assert {"wait": "60"} == prediction_call("p1", wait=600).params
    assert {} == predict_call("m", [{}], wait=0, options={}).params


def test_names_stay_one_part_of_the_path() -> None:
    assert "/v1/models/a%2F..%2Fb/predictions" == predict_call("a/../b", [{}], wait=0, options={}).path
    assert "/v1/predictions/..%2Fmetrics" == prediction_call("../metrics", wait=0).path
