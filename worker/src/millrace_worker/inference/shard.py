"""The prediction of one shard: read, encode, ask the model, and put together what became of each record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from millrace_contracts.errors import RecordError
from millrace_contracts.results import RecordFailure
from millrace_worker.inference.blocks import Block, Encoding, blocks_of, blocks_of_columns
from millrace_worker.inference.collect import Collected, Given, record_of
from millrace_worker.inference.model import Answer
from millrace_worker.inference.predict import Limits, NotPredicted, Outcomes, run
from millrace_worker.inference.retry_policy import Pace
from millrace_worker.input.columns import ColumnBatch
from millrace_worker.input.record import Record, fail
from millrace_worker.storage.outcome import ResultColumns, Results


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOutcome:
    """What a shard gave: every record is in one of the two."""

    results: Results
    failed: Mapping[int, RecordFailure]
    """By position in the shard."""
    succeeded: int
    retried: int = 0
    cached: int = 0
    ignored: int = 0
    model_version: str = ""
    versions: frozenset[str] = frozenset()
    """All that answered."""
    poisonous: Sequence[tuple[int, RecordFailure]] = ()
    """Those of the failures that go to the dead-letter queue, by position."""
    dead_lettered: int = 0
    is_refused: bool = False
    """Some record did not fit the model as it was described."""

    def without(self, refused: Mapping[int, RecordFailure]) -> "ShardOutcome":
        """Count these results, by position, as failures: the model answered, and nobody takes the answer."""
        if not refused:
            return self
        return replace(self, failed={**self.failed, **refused}, succeeded=self.succeeded - len(refused))

    @property
    def failures(self) -> list[RecordFailure]:
        """In input order."""
        return [failure for _, failure in sorted(self.failed.items())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The records of one shard, and what is known of them before the model is asked."""

    given: Given
    encoding: Encoding
    known: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Outputs of records that need not be computed."""
    set_aside: Mapping[int, RecordFailure] = field(default_factory=dict)
    """Records that must not be sent."""
    alone: Sequence[int] = ()
    """Records that are sent one by one, before all others."""
    with_input: bool = False
    write: Callable[[ResultColumns], bytes] | None = None
    """Makes the text of results, where it is wanted; what can be is made while answers are awaited."""

    def unread(self) -> dict[int, RecordFailure]:
        """Answer the records that failed when they were read."""
        # Nearly always there is none, and to see that must not cost a step for each record.
        if isinstance(self.given, ColumnBatch) or set(map(type, self.given)) <= {Record}:
            return {}
        return {i: one for i, one in enumerate(self.given) if isinstance(one, RecordFailure)}


def compute(
    work: Work,
    *,
    send: Callable[[Block], Answer] | None,
    limits: Limits,
    pace: Pace,
    check: Callable[[], None],
) -> tuple[ShardOutcome, Outcomes[Block, Answer]]:
    """Predict the records, or only check that they fit the model, where there is no `send`."""
    failures = {**work.unread(), **work.set_aside}
    refused: list[int] = []

    def refuse(position: int, why: str) -> None:
        refused.append(position)
        failures[position] = fail(record_of(work.given, position), RecordError.INVALID_RECORD, why)

    blocks = _blocks(work, failures, refuse)
    if send is None:
        fitting = sum(len(block) for block in blocks)
        return _outcome(work, failures, succeeded=fitting), Outcomes()
    collected = Collected(
        given=work.given,
        batches=work.encoding.signature.batches,
        with_input=work.with_input,
        # What is known already has its place between the answers.
        write=None if work.known else work.write,
    )
    done = run(blocks, send=send, limits=limits, pace=pace, check=check, use=collected.use)
    for position, failure in done.failures.items():
        failures[position] = _failed(record_of(work.given, position), failure)
    results = collected.results_of(done.answers, work.known)
    return _predicted(work, done, failures, results=results, is_refused=bool(refused)), done


def _blocks(work: Work, failures: Mapping[int, RecordFailure], refuse: Callable[[int, str], None]) -> Iterator[Block]:
    if isinstance(work.given, ColumnBatch):
        blocks = blocks_of_columns(work.given.columns, work.encoding, count=len(work.given))
        if blocks is not None:
            return iter(blocks)
    done = {*failures, *work.known}
    alone = [i for i in dict.fromkeys(work.alone) if i < len(work.given) and i not in done]
    singly = replace(work.encoding, rows=1)
    return chain(
        blocks_of([(i, record_of(work.given, i)) for i in alone], singly, refuse=refuse),
        blocks_of(_left(work.given, without={*done, *alone}), work.encoding, refuse=refuse),
    )


def _left(given: Given, *, without: set[int]) -> Iterator[tuple[int, Record]]:
    """Answer records with their positions, each when it is asked for: the first are sent before the last are seen."""
    if isinstance(given, ColumnBatch):
        return ((i, given.record_at(i)) for i in range(len(given)) if i not in without)
    return ((i, one) for i, one in enumerate(given) if i not in without and isinstance(one, Record))


def _predicted(
    work: Work,
    done: Outcomes[Block, Answer],
    failures: dict[int, RecordFailure],
    *,
    results: Results,
    is_refused: bool,
) -> ShardOutcome:
    retried = sum(len(one.batch) for one in done.answers if one.attempts > 1)
    retried += sum(failure.attempts > 1 for failure in done.failures.values())
    return _outcome(
        work,
        failures,
        results=results,
        succeeded=len(results),
        retried=retried,
        cached=len(work.known),
        ignored=sum(failure.is_ignored for failure in done.failures.values()),
        model_version=done.answers[-1].answer.model_version if done.answers else "",
        versions=frozenset(one.answer.model_version for one in done.answers),
        is_refused=is_refused or any(_is_refusal(failure) for failure in done.failures.values()),
    )


def _outcome(
    work: Work, failures: Mapping[int, RecordFailure], *, results: Results = (), **counts: Any
) -> ShardOutcome:
    poisonous = [(i, failures[i]) for i in sorted(work.set_aside)]
    return ShardOutcome(
        results=results,
        failed=failures,
        poisonous=poisonous,
        dead_lettered=len(poisonous),
        **counts,
    )


def _failed(record: Record, failure: NotPredicted) -> RecordFailure:
    return fail(record, failure.code, failure.message, attempts=failure.attempts)


def _is_refusal(failure: NotPredicted) -> bool:
    return failure.code is RecordError.REJECTED_BY_MODEL
