"""Requests to the gateway over HTTP, sent again where that is right: once for callers that block, once for asyncio."""

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx
import httpx_sse

from millrace.errors import MillraceError, Refused, Unavailable, UnexpectedAnswer
from millrace.predictions import Prediction
from millrace.protocol import Call, Reply, RetryPolicy, error_of

_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_TYPE: Final = {"Content-Type": "application/json"}
EVENT: Final = "prediction"
EVENT_SILENCE_SECONDS: Final = 60.0
"""The gateway sends a comment at least each 15 s; longer silence is a connection that is gone."""


class Connection:
    """Requests of callers that block; may be shared by threads."""

    def __init__(self, http: httpx.Client, *, retry: RetryPolicy, timeout: float) -> None:
        self._http = http
        self._retry = retry
        self._timeout = timeout

    def send(self, call: Call) -> Any:
        """Answer the JSON that the gateway answers.

        Raises:
            MillraceError: it refused, or had no room for as long as the policy goes on.
        """
        for attempt in range(self._retry.retries + 1):
            result = self._try(call)
            if not isinstance(result, MillraceError):
                return result
            delay = _delay(self._retry, attempt, result)
            if delay is None:
                raise result
            threading.Event().wait(delay)
        raise AssertionError("the policy ends the loop")

    def stream(self, call: Call) -> Iterator[Prediction]:
        """Answer each prediction as its event comes."""
        timeout = httpx.Timeout(self._timeout, read=EVENT_SILENCE_SECONDS)
        try:
            with httpx_sse.connect_sse(
                self._http, call.method, call.path, params=_params(call), timeout=timeout
            ) as source:
                if source.response.is_error:
                    source.response.read()
                    raise _error(source.response)
                for event in source.iter_sse():
                    if (answer := _answer(event)) is not None:
                        yield answer
        except httpx_sse.SSEError as error:
            raise UnexpectedAnswer("the gateway did not answer with a stream of events; is the URL right?") from error
        except httpx.TransportError as error:
            raise _unreachable(error) from error

    def close(self) -> None:
        """Close what is open."""
        self._http.close()

    def _try(self, call: Call) -> Any:
        content = _written(call)
        timeout = httpx.Timeout(self._timeout, read=self._timeout + call.waits_seconds)
        try:
            response = self._http.request(
                call.method, call.path, params=_params(call), content=content, headers=_TYPE, timeout=timeout
            )
        except httpx.TransportError as error:
            return _if_repeatable(call, error)
        return _understood(response)


class AsyncConnection:
    """Requests of asyncio's callers."""

    def __init__(self, http: httpx.AsyncClient, *, retry: RetryPolicy, timeout: float) -> None:
        self._http = http
        self._retry = retry
        self._timeout = timeout

    async def send(self, call: Call) -> Any:
        """Answer the JSON that the gateway answers.

        Raises:
            MillraceError: it refused, or had no room for as long as the policy goes on.
        """
        for attempt in range(self._retry.retries + 1):
            result = await self._try(call)
            if not isinstance(result, MillraceError):
                return result
            delay = _delay(self._retry, attempt, result)
            if delay is None:
                raise result
            await asyncio.sleep(delay)
        raise AssertionError("the policy ends the loop")

    async def stream(self, call: Call) -> AsyncIterator[Prediction]:
        """Answer each prediction as its event comes."""
        timeout = httpx.Timeout(self._timeout, read=EVENT_SILENCE_SECONDS)
        try:
            async with httpx_sse.aconnect_sse(
                self._http, call.method, call.path, params=_params(call), timeout=timeout
            ) as source:
                if source.response.is_error:
                    await source.response.aread()
                    raise _error(source.response)
                async for event in source.aiter_sse():
                    if (answer := _answer(event)) is not None:
                        yield answer
        except httpx_sse.SSEError as error:
            raise UnexpectedAnswer("the gateway did not answer with a stream of events; is the URL right?") from error
        except httpx.TransportError as error:
            raise _unreachable(error) from error

    async def close(self) -> None:
        """Close what is open."""
        await self._http.aclose()

    async def _try(self, call: Call) -> Any:
        content = _written(call)
        timeout = httpx.Timeout(self._timeout, read=self._timeout + call.waits_seconds)
        try:
            response = await self._http.request(
                call.method, call.path, params=_params(call), content=content, headers=_TYPE, timeout=timeout
            )
        except httpx.TransportError as error:
            return _if_repeatable(call, error)
        return _understood(response)


def _delay(policy: RetryPolicy, attempt: int, error: MillraceError) -> float | None:
    if not isinstance(error, Unavailable):
        return None
    chance = random.random()  # noqa: S311 - spreads load
    return policy.delay_seconds(attempt, retry_after_seconds=error.retry_after_seconds, chance=chance)


def _if_repeatable(call: Call, error: httpx.TransportError) -> Unavailable:
    """Answer an error that may be tried again, or raise one: records that may have arrived are not sent twice."""
    if call.is_repeatable or isinstance(error, _NOTHING_SENT):
        return _unreachable(error)
    raise _unreachable(error) from error


def _unreachable(error: httpx.TransportError) -> Unavailable:
    unavailable = Unavailable(
        f"the gateway does not answer ({type(error).__name__}: {error}); check the URL and the network, and try again"
    )
    unavailable.__cause__ = error
    return unavailable


def _understood(response: httpx.Response) -> Any:
    if response.is_error:
        return _error(response)
    return _parsed(response.text) if response.content else None


def _error(response: httpx.Response) -> MillraceError:
    try:
        body = response.json()
    except ValueError:
        body = None
    reply = Reply(status=response.status_code, retry_after=response.headers.get("Retry-After"), body=body)
    return error_of(reply) or UnexpectedAnswer(f"HTTP {response.status_code} is not an error")


def _answer(event: httpx_sse.ServerSentEvent) -> Prediction | None:
    """Read an event; the gateway also tells how each prediction is at the beginning, which is no answer yet."""
    if event.event != EVENT:
        return None
    prediction = Prediction.from_json(_parsed(event.data))
    return prediction if prediction.is_final else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UnexpectedAnswer("the gateway's answer is not JSON; is the URL that of a Millrace gateway?") from error


def _written(call: Call) -> bytes | None:
    """Write the body; what JSON has no word for is the caller's mistake and is not sent."""
    if call.body is None:
        return None
    try:
        return json.dumps(call.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise Refused(f"the request holds what JSON cannot carry: {error}") from error


def _params(call: Call) -> dict[str, Any]:
    return {name: value if isinstance(value, str) else list(value) for name, value in call.params.items()}
