"""Answers of single predictions in Redis: what is known of them, and how one becomes final, once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import redis

from millrace_contracts.models import ModelDescription, serving_key, signature_key
from millrace_contracts.predictions import SETTLE_SCRIPT, Prediction, PredictTask, prediction_key
from millrace_contracts.streams import StreamBatch
from millrace_worker.errors import AnswersUnavailable
from millrace_worker.streams import mark_done

KNOWN_MODEL_SECONDS: Final = 30 * 86_400
"""How long a model is described to gateways after a worker last asked Triton about it."""

STARTS_KEPT_SECONDS: Final = 86_400


class Answers:
    """Reads and settles predictions, each with one round trip for all of a task."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._script = client.register_script(SETTLE_SCRIPT)

    def read(self, ids: Sequence[str]) -> dict[str, Prediction]:
        """Answer what is known, by id; a prediction that was sent without a gateway is not."""
        with _translated():
            texts: Any = self._client.mget([prediction_key(one) for one in ids])
        return {one: Prediction.model_validate_json(text) for one, text in zip(ids, texts, strict=True) if text}

    def settle(
        self, predictions: Sequence[Prediction], task: PredictTask, *, description: ModelDescription | None = None
    ) -> None:
        """Make answers final that are not yet, and publish each on the task's channel.

        `description` is what gateways are told of the model, before the answers reach them.
        """
        with _translated():
            try:
                self._settle(predictions, task, description=description)
            except redis.exceptions.NoScriptError:
                # Redis was restarted or has failed over. What was written stays as it is.
                self._client.script_load(SETTLE_SCRIPT)
                self._settle(predictions, task, description=description)

    def is_known_model(self, name: str) -> bool:
        """Say whether some pipeline published this model, or some worker described it."""
        with _translated():
            found: Any = self._client.exists(serving_key(name), signature_key(name))
        return bool(found)

    def mark(self, batch: StreamBatch) -> None:
        """Note that the events of a batch have their answers."""
        with _translated():
            mark_done(batch, self._client)

    def count_start(self, task_id: str) -> int:
        """Count one more start of a task whose queue does not count them itself."""
        key = f"millrace:predict:{{{task_id}}}:starts"
        with _translated(), self._client.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.expire(key, STARTS_KEPT_SECONDS)
            return int(pipe.execute()[0])

    def _settle(
        self, predictions: Sequence[Prediction], task: PredictTask, *, description: ModelDescription | None
    ) -> None:
        ttl, channel = task.answer_ttl_seconds, task.channel
        with self._client.pipeline(transaction=False) as pipe:
            if description is not None:
                # The description of a pinned version must not hide that of the version that serves.
                text, is_pinned = description.model_dump_json(), bool(task.model.version)
                pipe.set(signature_key(task.model.name), text, ex=KNOWN_MODEL_SECONDS, nx=is_pinned)
            for prediction in predictions:
                key = prediction_key(prediction.id)
                pipe.evalsha(self._script.sha, 1, key, prediction.model_dump_json(), ttl, channel)
            pipe.execute()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except redis.exceptions.RedisError as error:
        raise AnswersUnavailable(f"Redis does not serve answers: {type(error).__name__}: {error}") from error
