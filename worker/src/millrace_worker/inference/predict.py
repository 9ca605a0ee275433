"""Send batches with several requests in flight, and isolate exactly the records that the model cannot answer.

A batch that comes back with an error is cut in halves until the bad record stands alone, so its neighbours get their
predictions. Only a record that stands alone spends retries. While Triton cannot be reached nothing is spent: the number
of requests in flight is halved, the batches wait, and when patience ends the whole shard is given back.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Final

from millrace_contracts.errors import RecordError
from millrace_worker.errors import BatchError, BatchRejected, TritonTooSlow, TritonUnavailable
from millrace_worker.inference.retry_policy import Pace, pause_seconds

CHECK_SECONDS: Final = 1.0
"""How often it is checked whether anybody still wants the predictions."""

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The outputs of one record."""

    outputs: dict[str, Any]
    attempts: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPredicted:
    """Why one record has none."""

    code: RecordError
    message: str
    attempts: int = 1


Outcome = Predicted | NotPredicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the job allows."""

    requests_in_flight: int
    retries_per_record: int


@dataclass(frozen=True, slots=True)
class _Batch:
    positions: tuple[int, ...]
    failures: int = 0
    """How often the model failed on this record, counted once it stands alone."""
    not_before: float = 0.0


def predict(
    batches: Sequence[tuple[int, ...]],
    *,
    send: Callable[[tuple[int, ...]], Rows],
    limits: Limits,
    pace: Pace,
    check: Callable[[], None] = lambda: None,
) -> dict[int, Outcome]:
    """Answer an outcome for every position in `batches`.

    `send` runs in threads, `check` in the caller's; it ends everything by raising. Raises what `send` raises, except
    for batch errors, which become outcomes, and TritonUnavailable, which is raised only when patience ends.
    """
    with _Pool(limits.requests_in_flight) as pool:
        run = _Run(send=send, limits=limits, pace=pace, pool=pool, waiting=deque(map(_Batch, batches)))
        last_check = monotonic()
        while run.is_unfinished:
            run.submit_what_is_due()
            run.take_what_is_done()
            if monotonic() - last_check >= CHECK_SECONDS:
                check()
                last_check = monotonic()
        return run.outcomes


class _Pool(ThreadPoolExecutor):
    def __exit__(self, *_: object) -> None:
        # Requests in flight end by their own timeout; whoever gives a shard back must not wait for them.
        self.shutdown(wait=False, cancel_futures=True)


@dataclass(kw_only=True)
class _Run:
    send: Callable[[tuple[int, ...]], Rows]
    limits: Limits
    pace: Pace
    pool: ThreadPoolExecutor
    waiting: deque[_Batch]
    in_flight: dict[Future[Rows], _Batch] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    troubles: int = 0
    """Consecutive answers that Triton was not available."""
    last_answer: float = field(default_factory=monotonic)
    allowed: int = 0

    def __post_init__(self) -> None:
        self.allowed = self.limits.requests_in_flight

    @property
    def is_unfinished(self) -> bool:
        return bool(self.waiting or self.in_flight)

    def submit_what_is_due(self) -> None:
        now = monotonic()
        for _ in range(len(self.waiting)):
            if len(self.in_flight) >= self.allowed:
                return
            batch = self.waiting.popleft()
            if batch.not_before > now:
                self.waiting.append(batch)
            else:
                self.in_flight[self.pool.submit(self.send, batch.positions)] = batch

    def take_what_is_done(self) -> None:
        if not self.in_flight:
            due = min(batch.not_before for batch in self.waiting)
            threading.Event().wait(min(max(due - monotonic(), 0.0), CHECK_SECONDS))
            return
        # The short limit lets a batch whose pause is over start while a slow one is still under way.
        limit = 0.05 if self.waiting and len(self.in_flight) < self.allowed else CHECK_SECONDS
        done, _ = wait(self.in_flight, timeout=limit, return_when=FIRST_COMPLETED)
        for future in done:
            self._take(self.in_flight.pop(future), future)

    def _take(self, batch: _Batch, future: Future[Rows]) -> None:
        try:
            rows = future.result()
        except BatchError as error:
            self._answered()
            if len(batch.positions) > 1:
                self.waiting.extendleft(reversed(_halves(batch)))
            elif isinstance(error, BatchRejected):
                self._fail(batch, RecordError.REJECTED_BY_MODEL, str(error))
            else:
                self._retry(batch, str(error))
        except TritonUnavailable as error:
            self._wait_for_triton(batch, error)
        else:
            self._answered()
            for position, outputs in zip(batch.positions, rows, strict=True):
                self.outcomes[position] = Predicted(outputs=outputs, attempts=batch.failures + 1)

    def _answered(self) -> None:
        self.troubles = 0
        self.last_answer = monotonic()
        self.allowed = min(self.limits.requests_in_flight, self.allowed + 1)

    def _retry(self, batch: _Batch, message: str) -> None:
        failures = batch.failures + 1
        if failures > self.limits.retries_per_record:
            self._fail(replace(batch, failures=failures - 1), RecordError.INFERENCE_FAILED, message)
        else:
            self.waiting.append(replace(batch, failures=failures, not_before=self._later(failures - 1)))

    def _fail(self, batch: _Batch, code: RecordError, message: str) -> None:
        (position,) = batch.positions
        self.outcomes[position] = NotPredicted(code=code, message=message, attempts=batch.failures + 1)

    def _wait_for_triton(self, batch: _Batch, error: TritonUnavailable) -> None:
        if monotonic() - self.last_answer > self.pace.patience_seconds:
            raise error
        self.troubles += 1
        self.allowed = max(1, self.allowed // 2)
        parts = _halves(batch) if isinstance(error, TritonTooSlow) and len(batch.positions) > 1 else [batch]
        not_before = self._later(self.troubles - 1)
        self.waiting.extend(replace(part, not_before=not_before) for part in parts)

    def _later(self, attempt: int) -> float:
        return monotonic() + pause_seconds(attempt, self.pace, jitter=random.random())  # noqa: S311 - no secret


def _halves(batch: _Batch) -> list[_Batch]:
    middle = len(batch.positions) // 2
    return [_Batch(batch.positions[:middle]), _Batch(batch.positions[middle:])]
