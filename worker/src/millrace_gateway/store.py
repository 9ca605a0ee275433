"""Predictions in the state Redis: written when they are accepted, settled by workers, read by whoever asks."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from millrace_contracts.predictions import (
    SETTLE_SCRIPT,
    Prediction,
    PredictionError,
    PredictionFailure,
    PredictionState,
    prediction_key,
)
from millrace_gateway.errors import Unavailable
from millrace_gateway.pipelining import Pipelined

Answer = Mapping[str, Any]
"""A Prediction as JSON read it: outputs can be large, so it is never validated again."""

AWAY: Final = "Redis does not answer; try again later"


class Store:
    """What is known of predictions by id."""

    def __init__(self, state: Pipelined, *, ttl_seconds: int) -> None:
        self._state = state
        self._ttl_seconds = ttl_seconds

    async def write(self, predictions: Sequence[Prediction]) -> None:
        """Write down predictions that were accepted, or raise Unavailable; an answer that is there already stays."""
        await self._all(
            [
                self._state.ask("SET", prediction_key(each.id), each.model_dump_json(), "EX", self._ttl_seconds, "NX")
                for each in predictions
            ]
        )

    async def forget(self, ids: Sequence[str]) -> None:
        """Remove predictions that were not accepted after all."""
        await self._all([self._state.ask("DEL", *map(prediction_key, ids))])

    async def read(self, ids: Sequence[str]) -> dict[str, Answer | None]:
        """Read predictions; one that waits for another's answer has that answer, as soon as it is there."""
        own = await self.read_as_written(ids)
        others = {str(found["same_as"]) for found in own.values() if found and _is_pending(found) and found["same_as"]}
        if not others:
            return own
        answers = await self.read_as_written(sorted(others))
        return {
            name: taken_from(answers.get(str(found.get("same_as"))), found) if found else None
            for name, found in own.items()
        }

    async def read_as_written(self, ids: Sequence[str]) -> dict[str, Answer | None]:
        """Read predictions without a look at those that they wait for."""
        if not ids:
            return {}
        (texts,) = await self._all([self._state.ask("MGET", *map(prediction_key, ids))])
        return {name: json.loads(text) if text else None for name, text in zip(ids, texts, strict=True)}

    async def settle(self, prediction: Prediction, *, channel: str) -> bool:
        """Write a final answer, unless there is one; answers whether this was the first."""
        key, text = prediction_key(prediction.id), prediction.model_dump_json()
        (written,) = await self._all([self._state.ask("EVAL", SETTLE_SCRIPT, 1, key, text, self._ttl_seconds, channel)])
        return bool(written)

    @staticmethod
    async def _all(asked: Sequence["asyncio.Future[Any]"]) -> list[Any]:
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, RedisError | OSError | TimeoutError):
                raise Unavailable(AWAY) from answer
            if isinstance(answer, BaseException):
                raise answer
        return answers


def ended(
    pending: Answer, state: PredictionState, *, now: float, failure: tuple[PredictionError, str] | None = None
) -> Prediction:
    """Make the final form of a prediction that gets no outputs."""
    return Prediction(
        id=str(pending["id"]),
        state=state,
        model=str(pending["model"]),
        error=PredictionFailure(code=failure[0], message=failure[1]) if failure else None,
        accepted_at=float(pending["accepted_at"]),
        finished_at=now,
    )


def taken_from(answer: Answer | None, own: Answer) -> Answer:
    """Answer the other's answer as this prediction's own; as it was while there is none."""
    if answer is None or _is_pending(answer) or not _is_pending(own):
        return own
    return {**answer, "id": own["id"], "accepted_at": own["accepted_at"]}


def is_final(answer: Answer | None) -> bool:
    """Say whether a prediction is there and will not change any more."""
    return answer is not None and not _is_pending(answer)


def _is_pending(answer: Answer) -> bool:
    return bool(answer["state"] == PredictionState.PENDING)
