"""The client for callers that block: scripts, Flask and other threaded servers."""

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Self, Unpack

import httpx

from millrace.connection import Connection
from millrace.errors import MillraceError, Misconfigured, Refused, TimedOut, Unauthorized
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

DEFAULT_TIMEOUT_SECONDS = 10.0


class PredictionHandle:
    """A prediction that was accepted."""

    def __init__(self, client: "Client", accepted: Prediction) -> None:
        self._client = client
        self._latest = accepted

    @property
    def id(self) -> str:
        """Its id, good for as long as the gateway keeps answers."""
        return self._latest.id

    def result(self, timeout: float = 60.0) -> Prediction:
        """Wait for the answer and answer it when it has outputs.

        Raises:
            TimedOut: there is none yet.
            PredictionFailed: there will be none.
        """
        self._latest = self._client.wait_for(self._latest, timeout=timeout)
        self._latest.require_outputs()
        return self._latest

    def cancel(self) -> bool:
        """Cancel it; False if it had ended before."""
        return self._client.cancel(self.id)

    def __repr__(self) -> str:
        return f"PredictionHandle(id={self.id!r}, state={self._latest.state.value!r})"


class Client:
    """Predictions over HTTP. One client for a whole program: it keeps connections open, and threads may share it."""

    def __init__(
        self,
        url: str = "",
        *,
        api_key: str = "",
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        retry: RetryPolicy | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare a client; nothing is sent yet.

        Args:
            url: of the gateway; MILLRACE_URL where it is empty.
            api_key: MILLRACE_API_KEY where it is empty. OIDC tokens go here too.
            timeout: seconds that a request may take beyond the time that it waits for an answer on purpose.
            retry: how often to ask again when the gateway has no room.
            transport: how to reach the gateway, where it is not by an ordinary connection.
        """
        http = httpx.Client(
            base_url=address(url), headers=headers(api_key), transport=transport, follow_redirects=False
        )
        self.connection = Connection(http, retry=retry or RetryPolicy(), timeout=timeout)

    def predict(
        self, model: str, inputs: Record, *, wait: float = 30.0, **options: Unpack[PredictOptions]
    ) -> Prediction:
        """Predict one record and wait for its outputs.

        Raises:
            TimedOut: it took longer than `wait` seconds.
            PredictionFailed: the model or the record is not usable, and why.
            MillraceError: the gateway did not take it.
        """
        deadline = time.monotonic() + wait
        body = self.connection.send(predict_call(model, [inputs], wait=wait, options=options))
        prediction = self.wait_for(only(read_predictions(body)), timeout=max(0.0, deadline - time.monotonic()))
        prediction.require_outputs()
        return prediction

    def submit(
        self, model: str, records: Sequence[Record], **options: Unpack[PredictOptions]
    ) -> list[PredictionHandle]:
        """Hand over records and answer at once with a handle for each, in their order."""
        body = self.connection.send(predict_call(model, records, wait=0, options=options))
        return [PredictionHandle(self, each) for each in read_predictions(body)]

    def predict_many(
        self,
        model: str,
        records: Iterable[Record],
        *,
        concurrency: int = 4,
        records_per_request: int = 32,
        timeout: float = 60.0,
        **options: Unpack[PredictOptions],
    ) -> Iterator[Prediction]:
        """Predict any number of records, in their order, with `concurrency` requests under way at a time.

        A record that fails does not end the others: its prediction says why. Records are read as they are needed.
        """

        def ask(chunk: Sequence[Record]) -> list[Prediction]:
            body = self.connection.send(predict_call(model, chunk, wait=timeout, options=options))
            deadline = time.monotonic() + timeout
            return [
                self.wait_for(each, timeout=max(0.0, deadline - time.monotonic())) for each in read_predictions(body)
            ]

        source = iter(records)
        with ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="millrace") as threads:
            under_way: deque[Future[list[Prediction]]] = deque()
            try:
                while chunk := list(islice(source, records_per_request)):
                    under_way.append(threads.submit(ask, chunk))
                    if len(under_way) >= concurrency:
                        yield from under_way.popleft().result()
                while under_way:
                    yield from under_way.popleft().result()
            finally:
                for each in under_way:
                    each.cancel()

    def get(self, prediction_id: str, *, wait: float = 0.0) -> Prediction:
        """Ask what became of a prediction, waiting up to `wait` seconds (60 at most) while it is pending."""
        return Prediction.from_json(self.connection.send(prediction_call(prediction_id, wait=wait)))

    def wait_for(self, prediction: Prediction, *, timeout: float) -> Prediction:
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
            prediction = self.get(prediction.id, wait=min(left, LONGEST_WAIT_SECONDS))
        return prediction

    def events(self, prediction_ids: Sequence[str]) -> Iterator[Prediction]:
        """Answer each prediction as soon as it is final, in any order, until all are."""
        return self.connection.stream(events_call(prediction_ids))

    def cancel(self, prediction_id: str) -> bool:
        """Cancel a prediction; False if it had ended before."""
        try:
            self.connection.send(cancel_call(prediction_id))
        except Refused as error:
            if error.code != TOO_LATE:
                raise
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def address(url: str) -> str:
    """Answer the gateway's address, from the environment where it is not given."""
    found = url or os.environ.get("MILLRACE_URL", "")
    if not found:
        raise Misconfigured("no gateway is given: pass its URL, or set MILLRACE_URL")
    if not found.startswith(("http://", "https://")):
        raise Misconfigured(f"the gateway's URL must begin with http:// or https://, not {found.split(':', 1)[0]!r}")
    return found


def headers(api_key: str) -> dict[str, str]:
    """Answer the headers of every request; the key stands nowhere else."""
    # Keys are often read from files, which end with a line end.
    key = (api_key or os.environ.get("MILLRACE_API_KEY", "")).strip()
    if not (key.isascii() and key.isprintable()):
        # httpx would say so as well, with the key in its words.
        raise Unauthorized("the API key holds a character that no key has; is it the key alone?")
    return {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}


def only(predictions: Sequence[Prediction]) -> Prediction:
    """Answer the one prediction of one record."""
    if len(predictions) != 1:
        raise MillraceError(f"the gateway answered one record with {len(predictions)} predictions")
    return predictions[0]
