import asyncio
import threading

import httpx
import pytest
from gateway_stub import StubGateway, accepted, prediction, records_of, refusal

from millrace import (
    AsyncClient,
    Client,
    MillraceError,
    NotFound,
    Prediction,
    PredictionCancelled,
    PredictionFailed,
    Refused,
    RetryPolicy,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
)

KEY = "very-secret"
QUICK = RetryPolicy(retries=2, first_delay_seconds=0.0)
URL = "http://gateway"


def client_of(gateway: StubGateway) -> Client:
    return Client(URL, api_key=KEY, retry=QUICK, transport=httpx.MockTransport(gateway))


def async_client_of(gateway: StubGateway) -> AsyncClient:
    return AsyncClient(URL, api_key=KEY, retry=QUICK, transport=httpx.MockTransport(gateway))


def test_a_prediction_is_asked_for_and_waited_for_in_one_request() -> None:
    gateway = StubGateway([accepted(prediction(model_version="3", cached=True))])

    with client_of(gateway) as client:
        answer = client.predict("m", {"x": [1]}, wait=5, priority="batch", deadline_seconds=9)

    (request,) = gateway.asked
    assert ("POST", "/v1/models/m/predictions?wait=5") == (request.method, request.url.raw_path.decode())
    assert f"Bearer {KEY}" == request.headers["Authorization"]
    assert [{"x": [1]}] == records_of(request)
    assert b'"deadlineSeconds":9' in request.content
    assert ({"y": [1]}, "3", True) == (answer.outputs, answer.model_version, answer.cached)


def test_an_answer_that_takes_longer_is_asked_for_again_until_it_is_there() -> None:
    pending = prediction(state="Pending")
    gateway = StubGateway(
        [accepted(pending, status=202), httpx.Response(200, json=pending), httpx.Response(200, json=prediction())]
    )

    with client_of(gateway) as client:
        assert {"y": [1]} == client.predict("m", {}, wait=5).outputs

    assert ["POST", "GET", "GET"] == [request.method for request in gateway.asked]


def test_a_refusal_for_lack_of_room_is_tried_again_and_then_told() -> None:
    full = refusal(429, "TooManyRequests", "the queue is long", **{"Retry-After": "0"})
    recovered = StubGateway([full, full, accepted(prediction())])
    exhausted = StubGateway([full, full, full])

    with client_of(recovered) as client:
        assert client.predict("m", {}).is_final
    with client_of(exhausted) as client, pytest.raises(Unavailable, match="the queue is long"):
        client.predict("m", {})

    assert [3, 3] == [len(recovered.asked), len(exhausted.asked)]


def test_a_wait_that_is_too_long_is_the_callers_choice() -> None:
    gateway = StubGateway([refusal(429, "TooManyRequests", "the queue is long", **{"Retry-After": "3600"})])

    with client_of(gateway) as client, pytest.raises(Unavailable) as caught:
        client.submit("m", [{}])

    assert 3600 == caught.value.retry_after_seconds
    assert 1 == len(gateway.asked)


def test_records_that_may_have_arrived_are_not_sent_twice() -> None:
    gateway = StubGateway([httpx.ReadTimeout("no answer")])

    with client_of(gateway) as client, pytest.raises(Unavailable):
        client.submit("m", [{}])

    assert 1 == len(gateway.asked)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
def test_records_that_were_never_sent_are_sent_again(error: httpx.TransportError) -> None:
    gateway = StubGateway([error, accepted(prediction())])

    with client_of(gateway) as client:
        assert ["p1"] == [handle.id for handle in client.submit("m", [{}])]


def test_what_reads_is_asked_again_when_the_connection_broke() -> None:
    gateway = StubGateway([httpx.ReadError("broken"), httpx.Response(200, json=prediction())])

    with client_of(gateway) as client:
        assert client.get("p1").is_final


def test_a_prediction_without_outputs_says_why() -> None:
    failed = prediction(state="Failed", error={"code": "InvalidRecord", "message": "x is missing"})
    gateway = StubGateway([accepted(failed), accepted(prediction(state="Cancelled"))])

    with client_of(gateway) as client:
        with pytest.raises(PredictionFailed, match=r"x is missing \(InvalidRecord\)") as caught:
            client.predict("m", {})
        with pytest.raises(PredictionCancelled):
            client.predict("m", {})

    assert "p1" == caught.value.prediction.id


def test_a_prediction_that_takes_too_long_times_out_and_goes_on() -> None:
    gateway = StubGateway([accepted(prediction(state="Pending"), status=202)])

    with client_of(gateway) as client:
        (handle,) = client.submit("m", [{}])
        with pytest.raises(TimedOut, match="it goes on"):
            handle.result(timeout=0)


def test_cancelling_says_whether_it_came_in_time() -> None:
    gateway = StubGateway(
        [
            httpx.Response(200, json=prediction(state="Cancelled")),
            refusal(409, "Conflict", "it is final"),
            refusal(422, "RequestInvalid", "no"),
            refusal(404, "NotFound", "gone"),
        ]
    )

    with client_of(gateway) as client:
        assert client.cancel("p1")
        assert not client.cancel("p1")
        with pytest.raises(Refused):
            client.cancel("p1")
        with pytest.raises(NotFound):
            client.cancel("p1")


def test_events_bring_each_answer_once_it_is_final() -> None:
    def events(*predictions: str) -> bytes:
        return b"".join(f"event: prediction\ndata: {each}\n\n".encode() for each in predictions) + b": ping\n\n"

    pending, done = (
        httpx.Response(200, json=prediction(state="Pending")).text,
        httpx.Response(200, json=prediction()).text,
    )
    stream = httpx.Response(200, content=events(pending, done), headers={"Content-Type": "text/event-stream"})
    gateway = StubGateway([stream])

    with client_of(gateway) as client:
        assert ["p1"] == [each.id for each in client.events(["p1", "p2"])]

    assert "/v1/predictions/events?id=p1&id=p2" == gateway.asked[0].url.raw_path.decode()


def echo(request: httpx.Request) -> httpx.Response:
    return accepted(*(prediction(record["n"]) for record in records_of(request)))


def test_many_records_are_answered_in_their_order_with_bounded_requests_under_way() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def count(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        answer = echo(request)
        with lock:
            under_way -= 1
        return answer

    gateway = StubGateway(rule=count)
    with client_of(gateway) as client:
        answers = list(client.predict_many("m", ({"n": n} for n in range(100)), concurrency=3, records_per_request=7))

    assert [f"p{n}" for n in range(100)] == [answer.id for answer in answers]
    assert most <= 3
    assert all(len(records_of(request)) <= 7 for request in gateway.asked)


def test_the_asynchronous_client_says_the_same() -> None:
    full = refusal(503, "Unavailable", "later", **{"Retry-After": "0"})
    gateway = StubGateway([full, accepted(prediction()), refusal(409, "Conflict", "it is final")])

    async def run() -> tuple[Prediction, bool]:
        async with async_client_of(gateway) as client:
            return await client.predict("m", {"x": 1}), await client.cancel("p1")

    answer, is_cancelled = asyncio.run(run())
    assert ({"y": [1]}, False) == (answer.outputs, is_cancelled)


def test_the_asynchronous_client_answers_many_records_in_their_order() -> None:
    async def run() -> list[str]:
        async with async_client_of(StubGateway(rule=echo)) as client:
            stream = client.predict_many("m", [{"n": n} for n in range(50)], records_per_request=4)
            return [answer.id async for answer in stream]

    assert [f"p{n}" for n in range(50)] == asyncio.run(run())


def test_the_key_stands_in_no_error_and_no_text() -> None:
    gateway = StubGateway([refusal(401, "Unauthenticated", "unknown key"), httpx.ReadError("broken")])

    with client_of(gateway) as client:
        told = [repr(client), str(vars(client))]
        for _ in range(2):
            with pytest.raises(MillraceError) as caught:
                client.submit("m", [{}])
            told += [repr(caught.value), str(caught.value)]

    assert not [text for text in told if KEY in text]


def test_a_page_that_is_no_gateway_is_recognised() -> None:
    gateway = StubGateway([httpx.Response(200, text="<html>"), httpx.Response(200, json=[1])])

    with client_of(gateway) as client:
        for _ in range(2):
            with pytest.raises(UnexpectedAnswer):
                client.submit("m", [{}])


@pytest.mark.parametrize(("url", "words"), [("", "MILLRACE_URL"), ("gateway:8000", "must begin with http")])
def test_an_address_that_is_none_is_told_at_once(url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLRACE_URL", raising=False)

    with pytest.raises(MillraceError, match=words):
        Client(url)
