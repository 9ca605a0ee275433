"""Predict single records of many callers: each has an answer of its own, which becomes final once.

May run any number of times, also at the same time: what is final is not computed again, and the first answer stays.
Redis is asked twice, at the beginning and at the end, whatever the number of records.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from millrace_contracts.errors import RecordError
from millrace_contracts.models import ModelDescription
from millrace_contracts.predictions import (
    CachedAnswer,
    Prediction,
    PredictionError,
    PredictionFailure,
    PredictionState,
    PredictItem,
    PredictTask,
    cache_key,
)
from millrace_worker.context import Context
from millrace_worker.errors import (
    BatchError,
    JobImpossible,
    ModelMissing,
    ModelUnsuitable,
    RecordInvalid,
    TritonUnavailable,
    WorkerError,
)
from millrace_worker.inference import batches, codec
from millrace_worker.inference.model import ModelSignature
from millrace_worker.inference.predict import Limits, NotPredicted, Outcome, Predicted, predict
from millrace_worker.inference.requests import Requests
from millrace_worker.ledger import MAX_STARTS
from millrace_worker.logs import get_logger

LIMITS: Final = Limits(requests_in_flight=4, retries_per_record=2, tries_late_ones_alone=False)

TRIES_FOR_ABSENT_MODEL: Final = 4
"""How often a task comes back for a model that was served before: Triton may be loading it anew."""

TOO_LATE: Final = "the deadline of the request passed before there was an answer"

log = get_logger(__name__)


class DeadlinePassed(WorkerError):  # noqa: N818 - it says what happened
    """Nobody wants the answers any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the message says of itself."""

    task_id: str
    starts: int = 0
    """How often a worker had it before and neither acked nor sent it back with a countdown."""
    retries: int = 0
    """How often it came again because something was unavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Computed:
    outcomes: Mapping[int, Outcome]
    versions: Mapping[int, str]
    description: ModelDescription | None = None
    """Where Triton was asked just now."""


def predict_items(task: PredictTask, context: Context, *, delivery: Delivery) -> list[Prediction]:
    """Make every answer of the task final, and answer all of them but those that were cancelled.

    Raises Unavailable when the task must come again.
    """
    known = context.answers.read([item.id for item in task.items])
    final = [one for one in known.values() if one.is_final]
    writer = _Writer(task, accepted={one.id: one.accepted_at for one in known.values()}, clock=context.now)
    late = _settle_late(task, context, writer, not_needed={one.id for one in final})
    answered = {one.id for one in (*final, *late)}
    items = [item for item in task.items if item.id not in answered]
    new: list[Prediction] = []
    if delivery.starts and len(items) > 1:
        _halve(task, items, context, delivery)
    elif items:
        new, description = _answer(task, items, context, delivery=delivery, writer=writer)
        context.answers.settle(new, task, description=description)
    log.info(
        "predictions done",
        model=task.model.name,
        succeeded=sum(one.state == PredictionState.SUCCEEDED for one in new),
        failed=sum(one.state == PredictionState.FAILED for one in new),
        late=len(late),
        not_needed=len(final),
    )
    return [one for one in (*final, *late, *new) if one.state != PredictionState.CANCELLED]


def next_deadline(task: PredictTask, *, now: float) -> float | None:
    """Answer when the next of its records will be too late, so that a task that waits is back to say so."""
    deadlines = [one for one in (task.deadline, *(item.deadline for item in task.items)) if one and one > now]
    return min(deadlines, default=None)


class _Writer:
    """Writes the final answers of one task."""

    def __init__(self, task: PredictTask, *, accepted: Mapping[str, float], clock: Callable[[], float]) -> None:
        self._task = task
        self._accepted = accepted
        self._clock = clock
        self._began = clock()

    def success(self, item: PredictItem, outputs: dict[str, Any], *, version: str) -> Prediction:
        """Write an answer."""
        return Prediction(
            id=item.id,
            state=PredictionState.SUCCEEDED,
            model=self._task.model.name,
            model_version=version,
            outputs=outputs,
            accepted_at=self._accepted.get(item.id, self._began),
            finished_at=self._clock(),
        )

    def failure(self, item: PredictItem, code: PredictionError, message: str) -> Prediction:
        """Write why there is none."""
        return Prediction(
            id=item.id,
            state=PredictionState.FAILED,
            model=self._task.model.name,
            error=PredictionFailure(code=code, message=message),
            accepted_at=self._accepted.get(item.id, self._began),
            finished_at=self._clock(),
        )


def _settle_late(
    task: PredictTask, context: Context, writer: _Writer, *, not_needed: Container[str]
) -> list[Prediction]:
    """Fail the records whose deadline has passed, before anything can make them wait longer."""
    late = [
        writer.failure(item, PredictionError.DEADLINE_EXCEEDED, TOO_LATE)
        for item in task.items
        if item.id not in not_needed and _is_late(task.deadline, context) | _is_late(item.deadline, context)
    ]
    if late:
        context.answers.settle(late, task)
    return late


def _answer(
    task: PredictTask, items: Sequence[PredictItem], context: Context, *, delivery: Delivery, writer: _Writer
) -> tuple[list[Prediction], ModelDescription | None]:
    def all_failed(code: PredictionError, message: str) -> tuple[list[Prediction], None]:
        return [writer.failure(item, code, message) for item in items], None

    if delivery.starts >= MAX_STARTS:
        return all_failed(PredictionError.WORKER_LOST, _lost(context))
    try:
        computed = _compute(task, items, context)
    except DeadlinePassed:
        return all_failed(PredictionError.DEADLINE_EXCEEDED, TOO_LATE)
    except ModelMissing as error:
        if _may_come_back(task, context, delivery):
            raise TritonUnavailable(f"a model that was served before is not there now: {error}") from error
        log.warning("the model is not there", model=task.model.name, version=task.model.version, error=str(error))
        return all_failed(PredictionError.MODEL_NOT_FOUND, _not_found(task, context))
    except ModelUnsuitable as error:
        return all_failed(PredictionError.MODEL_INCOMPATIBLE, str(error))
    _cache(task, items, computed, context)
    return [
        writer.success(item, outcome.outputs, version=computed.versions.get(i, ""))
        if isinstance(outcome, Predicted)
        else writer.failure(item, PredictionError(outcome.code), outcome.message)
        for i, item in enumerate(items)
        for outcome in (computed.outcomes[i],)
    ], computed.description


def _compute(task: PredictTask, items: Sequence[PredictItem], context: Context) -> _Computed:
    """Predict by what is remembered of the model, and again by what Triton says now where that could matter."""
    name, version = task.model.name, task.model.version
    remembered, first = context.known_models.recall(name, version), None
    if remembered is not None:
        try:
            first = _attempt(task, items, context, remembered)
        except JobImpossible as error:
            log.info("the model is not as it was; asking Triton anew", model=name, why=str(error))
        else:
            if not _is_doubtful(first, remembered):
                return first
    signature = context.known_models.describe(name, version)
    if first is None or remembered is None or not signature.has_same_form(remembered):
        first = _attempt(task, items, context, signature)
    return _Computed(outcomes=first.outcomes, versions=first.versions, description=signature.description())


def _is_doubtful(computed: _Computed, remembered: ModelSignature) -> bool:
    """Say whether an outcome may come from a description that is out of date."""
    is_refused = any(isinstance(outcome, NotPredicted) for outcome in computed.outcomes.values())
    return is_refused or not set(computed.versions.values()) <= set(remembered.versions)


def _attempt(task: PredictTask, items: Sequence[PredictItem], context: Context, signature: ModelSignature) -> _Computed:
    encoded: dict[int, codec.Tensors] = {}
    outcomes: dict[int, Outcome] = {}
    for i, item in enumerate(items):
        try:
            encoded[i] = codec.encode(item.record, signature)
        except RecordInvalid as error:
            outcomes[i] = NotPredicted(code=RecordError.INVALID_RECORD, message=str(error))
    timeout = float(task.request_timeout_seconds)
    if task.deadline is not None:
        timeout = min(timeout, max(0.05, task.deadline - context.now()))
    models = context.models()
    requests = Requests(models, signature, encoded, timeout_seconds=timeout, parameters=task.parameters)
    groups = batches.group(encoded, rows=batches.request_rows(signature, None))
    quick = _send_in_this_thread(groups[0], requests) if len(groups) == 1 else None
    outcomes |= quick or predict(
        groups,
        send=requests.send,
        limits=LIMITS,
        pace=context.pace,
        check=lambda: _check_deadline(task, context),
    )
    if any(isinstance(one, NotPredicted) and one.code is RecordError.INFERENCE_FAILED for one in outcomes.values()):
        # Near the deadline there was less time than a request may take.
        _check_deadline(task, context)
    return _Computed(outcomes=outcomes, versions=requests.versions)


def _send_in_this_thread(positions: tuple[int, ...], requests: Requests) -> dict[int, Outcome] | None:
    """Send the only batch without a pool of threads, which costs a millisecond; None when it needs more care."""
    try:
        rows = requests.send(positions)
    except (BatchError, TritonUnavailable):
        return None
    return {position: Predicted(outputs=outputs) for position, outputs in zip(positions, rows, strict=True)}


def _check_deadline(task: PredictTask, context: Context) -> None:
    if _is_late(task.deadline, context):
        raise DeadlinePassed


def _is_late(deadline: float | None, context: Context) -> bool:
    return deadline is not None and context.now() > deadline


def _may_come_back(task: PredictTask, context: Context, delivery: Delivery) -> bool:
    """Say whether the model was served before, so that its absence may pass. A version that is asked for stays away."""
    if task.model.version or not context.settings.triton_url or delivery.retries >= TRIES_FOR_ABSENT_MODEL:
        return False
    return context.answers.is_known_model(task.model.name)


def _cache(task: PredictTask, items: Sequence[PredictItem], computed: _Computed, context: Context) -> None:
    """Cache before anybody sees the answers, so that whoever waited for the same one finds it there."""
    if not task.cache_ttl_seconds:
        return
    entries = {}
    for i, outcome in computed.outcomes.items():
        version = computed.versions.get(i, "")
        if isinstance(outcome, Predicted) and version:
            try:
                key = cache_key(task.model.name, version, items[i].record, task.parameters)
            except ValueError:
                # A field that no model reads may hold what JSON cannot name; such a record is never looked up.
                continue
            entries[key] = CachedAnswer(model_version=version, outputs=outcome.outputs)
    context.prediction_cache.store(entries, ttl_seconds=task.cache_ttl_seconds)


def _halve(task: PredictTask, items: Sequence[PredictItem], context: Context, delivery: Delivery) -> None:
    """Send the records on in two messages: if one of them ends each worker, it will end up alone."""
    middle = len(items) // 2
    for number, part in enumerate((items[:middle], items[middle:])):
        half = task.model_copy(update={"items": list(part)})
        context.publisher.publish_predict(half, task_id=f"{delivery.task_id}.{number}", queue=context.settings.queue)
    log.warning(
        "a worker was lost with these predictions; they go on in two halves",
        task_id=delivery.task_id,
        records=len(items),
        starts=delivery.starts,
    )


def _lost(context: Context) -> str:
    return (
        f"each of {MAX_STARTS} workers that began this prediction died, failed or ran into the task time limit "
        f"({context.settings.task_time_limit_seconds} s); see the logs of the pool's pods"
    )


def _not_found(task: PredictTask, context: Context) -> str:
    """Say it to a caller from outside, who has no business with addresses and other teams' models."""
    version = f' version "{task.model.version}"' if task.model.version else ""
    return f'the pool of queue "{context.settings.queue}" has no model "{task.model.name}"{version}'
