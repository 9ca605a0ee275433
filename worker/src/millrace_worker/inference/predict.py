"""Send batches with several requests in flight, and isolate exactly the records that the model cannot answer.

A batch that comes back with an error is cut in halves until the bad record stands alone, so its neighbours get their
predictions. Only a record that stands alone spends retries. While Triton cannot be reached nothing is spent: the number
of requests in flight is halved, the batches wait, and when patience ends the whole shard is given back.

A batch is anything that behaves as a sequence of positions and can be cut: a tuple, or a Block that brings its tensors.
"""

import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from millrace_contracts.errors import RecordError
from millrace_contracts.tasks import Backoff, RetryAction, RetryRule
from millrace_worker.errors import BatchError, BatchRejected, RetriesExhausted, TritonTooSlow, TritonUnavailable
from millrace_worker.inference.retry_policy import Pace, action_for, backoff_seconds, pause_seconds, rule_for

CHECK_SECONDS: Final = 1.0
"""How often it is checked whether anybody still wants the predictions."""

Rows = Sequence[dict[str, Any]]


class Batch(Protocol):
    """Positions of records that go in one request."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[int]: ...

    def __getitem__(self, part: slice, /) -> Self: ...


B = TypeVar("B", bound=Batch)
A = TypeVar("A")


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
    is_ignored: bool = False
    """A rule of the job leaves it out of the failure budget."""


Outcome = Predicted | NotPredicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the job allows."""

    requests_in_flight: int
    retries_per_record: int
    backoff: Backoff | None = None
    """Between the tries of a record; None paces them as waiting for Triton does."""
    longest_backoff_seconds: float = 60.0
    rules: Sequence[RetryRule] = ()
    isolates: bool = True
    """False: the records of a batch fail together."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[B, A]):
    """A batch and what the model said."""

    batch: B
    answer: A
    attempts: int


@dataclass(slots=True)
class Outcomes(Generic[B, A]):
    """What became of all batches: every position is in one answer, or in one failure."""

    answers: list[Answered[B, A]] = field(default_factory=list)
    failures: dict[int, NotPredicted] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Try(Generic[B]):
    batch: B
    failures: int = 0
    """How often the model failed on it, counted once it is not cut any more."""
    not_before: float = 0.0


def predict(
    batches: Iterable[tuple[int, ...]],
    *,
    send: Callable[[tuple[int, ...]], Rows],
    limits: Limits,
    pace: Pace,
    check: Callable[[], None] = lambda: None,
) -> dict[int, Outcome]:
    """Answer an outcome for every position in `batches`, where `send` answers the outputs of each record."""
    done = run(batches, send=send, limits=limits, pace=pace, check=check)
    outcomes: dict[int, Outcome] = dict(done.failures)
    for one in done.answers:
        for position, outputs in zip(one.batch, one.answer, strict=True):
            outcomes[position] = Predicted(outputs=outputs, attempts=one.attempts)
    return outcomes


def run(
    batches: Iterable[B],
    *,
    send: Callable[[B], A],
    limits: Limits,
    pace: Pace,
    check: Callable[[], None] = lambda: None,
) -> Outcomes[B, A]:
    """Send all batches; each is taken from `batches` while earlier ones are under way.

    `send` runs in threads; `batches` and `check` run in the caller's, and `check` ends everything by raising. Raises
    what `send` raises, except for batch errors, which become failures (or RetriesExhausted, where a rule says so), and
    TritonUnavailable, which is raised only when patience ends.
    """
    with _Pool(limits.requests_in_flight) as pool:
        engine = _Run(send=send, limits=limits, pace=pace, pool=pool, source=iter(batches))
        last_check = monotonic()
        while engine.is_unfinished:
            engine.submit_what_is_due()
            engine.take_what_is_done()
            if monotonic() - last_check >= CHECK_SECONDS:
                check()
                last_check = monotonic()
        return engine.outcomes


class _Pool(ThreadPoolExecutor):
    def __exit__(self, *_: object) -> None:
        # Requests in flight end by their own timeout; whoever gives a shard back must not wait for them.
        self.shutdown(wait=False, cancel_futures=True)


@dataclass(kw_only=True)
class _Run(Generic[B, A]):
    send: Callable[[B], A]
    limits: Limits
    pace: Pace
    pool: ThreadPoolExecutor
    source: Iterator[B]
    waiting: deque[_Try[B]] = field(default_factory=deque)
    """Batches that come again, those that are halves of others first."""
    prepared: B | None = None
    """The next of the source, made ready while the model computes."""
    is_source_empty: bool = False
    in_flight: int = 0
    done: SimpleQueue[tuple[_Try[B], Future[A]]] = field(default_factory=SimpleQueue)
    outcomes: Outcomes[B, A] = field(default_factory=Outcomes)
    troubles: int = 0
    """Consecutive answers that Triton was not available."""
    last_answer: float = field(default_factory=monotonic)
    allowed: int = 0

    def __post_init__(self) -> None:
        self.allowed = self.limits.requests_in_flight
        self._prepare()

    @property
    def is_unfinished(self) -> bool:
        return bool(self.waiting or self.in_flight or self.prepared is not None)

    def submit_what_is_due(self) -> None:
        now = monotonic()
        for _ in range(len(self.waiting)):
            if self.in_flight >= self.allowed:
                return
            one = self.waiting.popleft()
            if one.not_before > now:
                self.waiting.append(one)
            else:
                self._submit(one)
        # While Triton has trouble nothing new is tried: what waits for it is enough to see that it is back.
        while self.in_flight < self.allowed and self.prepared is not None and not self.troubles:
            self._submit(_Try(self.prepared))
            self.prepared = None
            self._prepare()

    def take_what_is_done(self) -> None:
        if not self.in_flight:
            due = min((one.not_before for one in self.waiting), default=0.0)
            if due > 0:
                threading.Event().wait(min(max(due - monotonic(), 0.0), CHECK_SECONDS))
            return
        # The short limit lets a batch whose pause is over start while a slow one is still under way.
        limit = 0.05 if self.waiting and self.in_flight < self.allowed else CHECK_SECONDS
        try:
            one, future = self.done.get(timeout=limit)
        except Empty:
            return
        self.in_flight -= 1
        self._take(one, future)

    def _prepare(self) -> None:
        if not self.is_source_empty:
            self.prepared = next(self.source, None)
            self.is_source_empty = self.prepared is None

    def _submit(self, one: _Try[B]) -> None:
        self.in_flight += 1
        done = self.done
        self.pool.submit(self.send, one.batch).add_done_callback(lambda future: done.put((one, future)))

    def _take(self, one: _Try[B], future: Future[A]) -> None:
        try:
            answer = future.result()
        except BatchError as error:
            self._answered()
            if error.status == "DEADLINE_EXCEEDED":
                # Perhaps it is not the records but the load.
                self.allowed = max(1, self.allowed // 2)
            if self.limits.isolates and len(one.batch) > 1:
                self.waiting.extendleft(map(_Try, reversed(_halves(one.batch))))
            else:
                self._judge(one, error)
        except TritonUnavailable as error:
            self._wait_for_triton(one, error)
        else:
            self._answered()
            self.outcomes.answers.append(Answered(one.batch, answer, one.failures + 1))

    def _answered(self) -> None:
        self.troubles = 0
        self.last_answer = monotonic()
        self.allowed = min(self.limits.requests_in_flight, self.allowed + 1)

    def _judge(self, one: _Try[B], error: BatchError) -> None:
        """Do as the job's rules say with what is not cut any more."""
        is_rejected = isinstance(error, BatchRejected)
        action = action_for(self.limits.rules, status=error.status, message=str(error), is_rejected=is_rejected)
        if action is RetryAction.RETRY and one.failures < self.limits.retries_per_record:
            pause = self._pause_of_record(one.failures)
            self.waiting.append(replace(one, failures=one.failures + 1, not_before=monotonic() + pause))
            return
        code = RecordError.REJECTED_BY_MODEL if is_rejected else RecordError.INFERENCE_FAILED
        self._end(one, action, code, str(error))

    def _end(self, one: _Try[B], action: RetryAction, code: RecordError, message: str) -> None:
        if action is RetryAction.FAIL_JOB:
            raise RetriesExhausted(f"a rule of retryPolicy stops the job, because the model failed so: {message}")
        failure = NotPredicted(
            code=code, message=message, attempts=one.failures + 1, is_ignored=action is RetryAction.IGNORE
        )
        self.outcomes.failures.update(dict.fromkeys(one.batch, failure))

    def _wait_for_triton(self, one: _Try[B], error: TritonUnavailable) -> None:
        if isinstance(error, TritonTooSlow) and len(one.batch) == 1 and self._ends_by_rule(one, error):
            return
        if monotonic() - self.last_answer > self.pace.patience_seconds:
            raise error
        self.troubles += 1
        self.allowed = max(1, self.allowed // 2)
        is_cut = isinstance(error, TritonTooSlow) and len(one.batch) > 1
        parts = [_Try(half) for half in _halves(one.batch)] if is_cut else [one]
        not_before = monotonic() + pause_seconds(self.troubles - 1, self.pace, jitter=_chance())
        self.waiting.extend(replace(part, not_before=not_before) for part in parts)

    def _ends_by_rule(self, one: _Try[B], error: TritonTooSlow) -> bool:
        """End a record whose time is over each time, where a rule names just that; else it is Triton that is slow."""
        rule = rule_for(self.limits.rules, status="DEADLINE_EXCEEDED", message=str(error))
        if rule is None or not rule.on_codes or rule.action is RetryAction.RETRY:
            return False
        self._answered()
        self._end(one, rule.action, RecordError.INFERENCE_FAILED, str(error))
        return True

    def _pause_of_record(self, attempt: int) -> float:
        backoff, longest = self.limits.backoff, self.limits.longest_backoff_seconds
        if backoff is None:
            return pause_seconds(attempt, self.pace, jitter=_chance())
        return backoff_seconds(attempt, backoff, jitter=_chance(), longest=longest)


def _chance() -> float:
    return random.random()  # noqa: S311 - spreads load


def _halves(batch: B) -> list[B]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]
