"""The client for asyncio: async views of Django, FastAPI and the like. It says what `millrace.client` says."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from types import TracebackType
from typing import Self, Unpack

import httpx

from millrace.client import DEFAULT_TIMEOUT_SECONDS, address, headers, only
from millrace.connection import AsyncConnection
from millrace.errors import Refused, TimedOut
from millrace.predictions import Prediction, PredictOptions, Record
from millrace.protocol import (
    LONGEST_WAIT_SECONDS,
    TOO_LATE,
    RetryPolicy,
    cancel_call,
    events_call,
    predict_call,
    prediction_call,
    read_predictions,
)


class AsyncPredictionHandle:
    """A prediction that was accepted."""

    def __init__(self, client: "AsyncClient", accepted: Prediction) -> None:
        self._client = client
        self._latest = accepted

    @property
    def id(self) -> str:
        """Its id, good for as long as the gateway keeps answers."""
        return self._latest.id

    async def result(self, timeout: float = 60.0) -> Prediction:  # noqa: ASYNC109 - the gateway waits, not this loop
        """Wait for the answer and answer it when it has outputs.

        Raises:
            TimedOut: there is none yet.
            PredictionFailed: there will be none.
        """
        self._latest = await self._client.wait_for(self._latest, timeout=timeout)
        self._latest.require_outputs()
        return self._latest

    async def cancel(self) -> bool:
        """Cancel it; False if it had ended before."""
        return await self._client.cancel(self.id)

    def __repr__(self) -> str:
        return f"AsyncPredictionHandle(id={self.id!r}, state={self._latest.state.value!r})"


class AsyncClient:
    """Predictions over HTTP for one event loop. One client for a whole program: it keeps connections open."""

    def __init__(
        self,
        url: str = "",
        *,
        api_key: str = "",
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        retry: RetryPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet. The arguments are those of `millrace.Client`."""
        http = httpx.AsyncClient(
            base_url=address(url), headers=headers(api_key), transport=transport, follow_redirects=False
        )
        self.connection = AsyncConnection(http, retry=retry or RetryPolicy(), timeout=timeout)

    async def predict(
        self, model: str, inputs: Record, *, wait: float = 30.0, **options: Unpack[PredictOptions]
    ) -> Prediction:
        """Predict one record and wait for its outputs.

        Raises:
            TimedOut: it took longer than `wait` seconds.
            PredictionFailed: the model or the record is not usable, and why.
            MillraceError: the gateway did not take it.
        """
        deadline = time.monotonic() + wait
        body = await self.connection.send(predict_call(model, [inputs], wait=wait, options=options))
        left = max(0.0, deadline - time.monotonic())
        prediction = await self.wait_for(only(read_predictions(body)), timeout=left)
        prediction.require_outputs()
        return prediction

    async def submit(
        self, model: str, records: Sequence[Record], **options: Unpack[PredictOptions]
    ) -> list[AsyncPredictionHandle]:
        """Hand over records and answer at once with a handle for each, in their order."""
        body = await self.connection.send(predict_call(model, records, wait=0, options=options))
        return [AsyncPredictionHandle(self, each) for each in read_predictions(body)]

    async def predict_many(
        self,
        model: str,
        records: Iterable[Record],
        *,
        concurrency: int = 4,
        records_per_request: int = 32,
        timeout: float = 60.0,  # noqa: ASYNC109 - the gateway waits, not this loop
        **options: Unpack[PredictOptions],
    ) -> AsyncIterator[Prediction]:
        """Predict any number of records, in their order, with `concurrency` requests under way at a time.

        A record that fails does not end the others: its prediction says why. Records are read as they are needed.
        """

        async def ask(chunk: Sequence[Record]) -> list[Prediction]:
            body = await self.connection.send(predict_call(model, chunk, wait=timeout, options=options))
            deadline = time.monotonic() + timeout
            return [
                await self.wait_for(each, timeout=max(0.0, deadline - time.monotonic()))
                for each in read_predictions(body)
            ]

        source = iter(records)
        under_way: deque[asyncio.Task[list[Prediction]]] = deque()
        try:
            while chunk := list(islice(source, records_per_request)):
                under_way.append(asyncio.create_task(ask(chunk)))
                if len(under_way) >= concurrency:
                    for each in await under_way.popleft():
                        yield each
            while under_way:
                for each in await under_way.popleft():
                    yield each
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def get(self, prediction_id: str, *, wait: float = 0.0) -> Prediction:
        """Ask what became of a prediction, waiting up to `wait` seconds (60 at most) while it is pending."""
        return Prediction.from_json(await self.connection.send(prediction_call(prediction_id, wait=wait)))

    async def wait_for(
        self,
        prediction: Prediction,
        *,
        timeout: float,  # noqa: ASYNC109 - the gateway waits, not this loop
    ) -> Prediction:
        """Wait until a prediction is final.

        Raises:
            TimedOut: it is still pending.
        """
        deadline = time.monotonic() + timeout
        while not prediction.is_final:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(
                    f"prediction {prediction.id} is still pending; it goes on, ask for it again", prediction=prediction
                )
            prediction = await self.get(prediction.id, wait=min(left, LONGEST_WAIT_SECONDS))
        return prediction

    def events(self, prediction_ids: Sequence[str]) -> AsyncIterator[Prediction]:
        """Answer each prediction as soon as it is final, in any order, until all are."""
        return self.connection.stream(events_call(prediction_ids))

    async def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction; False if it had ended before."""
        try:
            await self.connection.send(cancel_call(prediction_id))
        except Refused as error:
            if error.code != TOO_LATE:
                raise
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await self.connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
