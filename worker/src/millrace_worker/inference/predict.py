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
from typing import Any, Final, Generic, TypeVar

from millrace_contracts.errors import RecordError
from millrace_contracts.tasks import Backoff, RetryAction, RetryRule
from millrace_worker.errors import BatchError, BatchRejected, RetriesExhausted, TritonTooSlow, TritonUnavailable
from millrace_worker.inference.retry_policy import Pace, action_for, backoff_seconds, pause_seconds, rule_for
from millrace_worker.inference.trials import B, Trials, Try

CHECK_SECONDS: Final = 1.0
"""How often it is checked whether anybody still wants the predictions."""

Rows = Sequence[dict[str, Any]]


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
    tries_late_ones_alone: bool = True
    """A record that is late is at fault only if it is late in a trial; False where nobody waits for that long."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended(Generic[B, A]):
    one: Try[B]
    future: Future[A]
    goes_on: bool
    """The thread that sent it has sent another since."""


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
    use: Callable[[Answered[B, A]], None] = lambda _: None,
) -> Outcomes[B, A]:
    """Send all batches; each is taken from `batches` while earlier ones are under way.

    `send` runs in threads; `batches`, `check` and `use` run in the caller's. `check` ends everything by raising; `use`
    gets answers in their order while others are awaited, the last ones perhaps not. Raises what `send` raises, except
    for batch errors, which become failures (or RetriesExhausted, where a rule says so), and TritonUnavailable, which is
    raised only when patience ends.
    """
    with _Pool(limits.requests_in_flight) as pool:
        engine = _Run(send=send, limits=limits, pace=pace, pool=pool, source=iter(batches), use=use)
        last_check = monotonic()
        try:
            while engine.is_unfinished:
                engine.submit_what_is_due()
                # An answer is taken before another batch is made: what its end sends is made already.
                if engine.is_answered or not (engine.prepare_another() or engine.use_another()):
                    engine.take_what_is_done()
                if monotonic() - last_check >= CHECK_SECONDS:
                    check()
                    last_check = monotonic()
        finally:
            engine.is_over = True
            engine.prepared.clear()
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
    use: Callable[[Answered[B, A]], None]
    used: int = 0
    """So many of the answers were used."""
    waiting: deque[Try[B]] = field(default_factory=deque)
    """Batches that come again, those that are halves of others first."""
    prepared: deque[B] = field(default_factory=deque)
    """The next of the source, made ready while the model computes: one for each request that may end meanwhile."""
    is_source_empty: bool = False
    in_flight: int = 0
    """Threads that send, until their last answer is taken."""
    is_over: bool = False
    """Nobody waits for answers any more."""
    done: SimpleQueue[_Ended[B, A]] = field(default_factory=SimpleQueue)
    outcomes: Outcomes[B, A] = field(default_factory=Outcomes)
    troubles: int = 0
    """Consecutive answers that Triton was not available."""
    last_answer: float = field(default_factory=monotonic)
    allowed: int = 0
    trials: Trials[B] = field(init=False)

    def __post_init__(self) -> None:
        self.trials = Trials(lambda fruitless: pause_seconds(fruitless, self.pace, jitter=_chance()))
        self.allowed = self.limits.requests_in_flight
        self.prepare_another()

    @property
    def is_unfinished(self) -> bool:
        return not self.is_idle or bool(self.trials.doubtful)

    @property
    def is_idle(self) -> bool:
        return self.is_source_empty and not (self.waiting or self.in_flight or self.prepared)

    @property
    def is_answered(self) -> bool:
        return not self.done.empty()

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
        while self.in_flight < self.allowed and not self.troubles and (following := self._next()):
            self._submit(following)
            if not self.prepared:
                self.prepare_another()
        if self.is_idle and (
            alone := self.trials.following([one.batch for one in self.outcomes.answers[-1:]], now=now)
        ):
            self._submit(alone)

    def take_what_is_done(self) -> None:
        if not self.in_flight:
            due = min((one.not_before for one in self.waiting), default=self.trials.due)
            if due > 0:
                threading.Event().wait(min(max(due - monotonic(), 0.0), CHECK_SECONDS))
            return
        # The short limit lets a batch whose pause is over start while a slow one is still under way.
        limit = 0.05 if self.waiting and self.in_flight < self.allowed else CHECK_SECONDS
        try:
            ended = self.done.get(timeout=limit)
        except Empty:
            return
        self.in_flight -= not ended.goes_on
        self._take(ended.one, ended.future)

    def prepare_another(self) -> bool:
        """Make one batch ready; False where there are enough of them, or no more."""
        if self.is_source_empty or len(self.prepared) >= self.limits.requests_in_flight:
            return False
        following = next(self.source, None)
        if following is None:
            self.is_source_empty = True
            return False
        self.prepared.append(following)
        return True

    def use_another(self) -> bool:
        """Use one answer; False where all are, or where nothing is awaited meanwhile."""
        if self.used == len(self.outcomes.answers) or not self.in_flight:
            return False
        self.use(self.outcomes.answers[self.used])
        self.used += 1
        return True

    def _next(self) -> Try[B] | None:
        # Also another thread may take the last.
        try:
            return Try(self.prepared.popleft())
        except IndexError:
            return None

    def _submit(self, one: Try[B]) -> None:
        self.in_flight += 1
        self.pool.submit(self._send_in_turn, one)

    def _send_in_turn(self, one: Try[B]) -> None:
        """Send a batch, and as long as all goes well the next: to wait for the caller's thread would cost the model.

        What is not well is for the caller's thread to judge.
        """
        following: Try[B] | None = one
        while following is not None:
            one, following, future = following, None, Future[A]()
            try:
                future.set_result(self.send(one.batch))
            except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
                future.set_exception(error)
            else:
                following = self._next() if self._is_well else None
            self.done.put(_Ended(one=one, future=future, goes_on=following is not None))

    @property
    def _is_well(self) -> bool:
        is_full = self.allowed == self.limits.requests_in_flight
        return is_full and not (self.troubles or self.waiting or self.is_over)

    def _take(self, one: Try[B], future: Future[A]) -> None:
        try:
            answer = future.result()
        except BatchError as error:
            self._answered()
            is_late = error.status == "DEADLINE_EXCEEDED"
            if is_late:
                # Perhaps it is not the records but the load.
                self.allowed = max(1, self.allowed // 2)
            if self.limits.isolates and len(one.batch) > 1:
                self.waiting.extendleft(map(Try, reversed(_halves(one.batch))))
            elif is_late and self._is_doubtful(one):
                self.trials.doubtful.append(one)
            elif not one.is_probe:
                self._judge(one, error)
            self.trials.note(one, is_late=is_late, now=monotonic())
        except TritonUnavailable as error:
            self._wait_for_triton(one, error)
        else:
            self._answered()
            self.trials.note(one, is_late=False, now=self.last_answer)
            if not one.is_probe:
                self.outcomes.answers.append(Answered(one.batch, answer, one.failures + 1))

    def _is_doubtful(self, one: Try[B]) -> bool:
        if one.is_probe or not (self.limits.isolates and self.limits.tries_late_ones_alone):
            return False
        is_first = self.is_idle and not (self.outcomes.answers or self.outcomes.failures)
        return not self.trials.is_proof(one, is_only=is_first and not self.trials.doubtful)

    def _answered(self) -> None:
        self.troubles = 0
        self.last_answer = monotonic()
        self.allowed = min(self.limits.requests_in_flight, self.allowed + 1)

    def _judge(self, one: Try[B], error: BatchError) -> None:
        """Do as the job's rules say with what is not cut any more."""
        is_rejected = isinstance(error, BatchRejected)
        action = action_for(self.limits.rules, status=error.status, message=str(error), is_rejected=is_rejected)
        if action is RetryAction.RETRY and one.failures < self.limits.retries_per_record:
            pause = self._pause_of_record(one.failures)
            again = replace(one, failures=one.failures + 1, not_before=monotonic() + pause)
            (self.trials.doubtful if one.is_trial else self.waiting).append(again)
            return
        code = RecordError.REJECTED_BY_MODEL if is_rejected else RecordError.INFERENCE_FAILED
        self._end(one, action, code, str(error))

    def _end(self, one: Try[B], action: RetryAction, code: RecordError, message: str) -> None:
        if action is RetryAction.FAIL_JOB:
            raise RetriesExhausted(f"a rule of retryPolicy stops the job, because the model failed so: {message}")
        failure = NotPredicted(
            code=code, message=message, attempts=one.failures + 1, is_ignored=action is RetryAction.IGNORE
        )
        self.outcomes.failures.update(dict.fromkeys(one.batch, failure))

    def _wait_for_triton(self, one: Try[B], error: TritonUnavailable) -> None:
        if isinstance(error, TritonTooSlow) and len(one.batch) == 1 and self._ends_by_rule(one, error):
            return
        if monotonic() - self.last_answer > self.pace.patience_seconds:
            raise error
        self.troubles += 1
        self.allowed = max(1, self.allowed // 2)
        is_cut = isinstance(error, TritonTooSlow) and len(one.batch) > 1
        parts = [Try(half) for half in _halves(one.batch)] if is_cut else [one]
        not_before = monotonic() + pause_seconds(self.troubles - 1, self.pace, jitter=_chance())
        self.waiting.extend(replace(part, not_before=not_before) for part in parts)

    def _ends_by_rule(self, one: Try[B], error: TritonTooSlow) -> bool:
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
