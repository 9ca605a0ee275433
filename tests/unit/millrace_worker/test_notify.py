"""How a notification is signed, and how long it is tried."""

from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.tasks import JobRef, NotifyTask
from millrace_worker.tasks.notify import LONGEST_PAUSE_SECONDS, is_too_old, pause_seconds, signature


def test_the_signature_is_that_of_the_standard() -> None:
    # The example of the Standard Webhooks specification.
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )


@given(tries=st.integers(0, 10_000))
def test_the_pauses_grow_to_a_limit(tries: int) -> None:
    assert 1 <= pause_seconds(tries) <= min(LONGEST_PAUSE_SECONDS, 2 ** min(tries + 1, 10))


def test_an_event_is_told_for_a_day() -> None:
    task = NotifyTask(job=JobRef(namespace="n", name="j", uid="u"), event="Failed", at=1000.0, body={})
    assert [False, True] == [is_too_old(task, now=1000.0 + seconds) for seconds in (86_400, 86_401)]
