"""Ask Triton for the top items of many users at once, or fall back on what is popular while there is no model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from millrace_recommender.events import History
from millrace_recommender.layout import (
    HISTORY_LENGTH,
    ITEM_IDS,
    ITEMS,
    MAX_BATCH_SIZE,
    MODEL,
    NO_ITEM,
    POPULARITY,
    SCORES,
    TOP_N,
    WEIGHTS,
)
from millrace_recommender.recommendations import Recommendations, most_popular
from millrace_recommender.store import Store
from millrace_worker.context import Context
from millrace_worker.errors import ModelMissing
from millrace_worker.inference.model import Array, ModelClient, ModelSignature, TensorSpec

TIMEOUT_SECONDS: Final = 5.0

SIGNATURE: Final = ModelSignature(
    name=MODEL,
    # Triton serves the newest version; the answer says which that was.
    requested_version="",
    inputs=(
        TensorSpec(name=ITEMS, datatype="INT64", dims=(-1,)),
        TensorSpec(name=WEIGHTS, datatype="FP32", dims=(-1,)),
    ),
    max_batch_size=MAX_BATCH_SIZE,
)
"""Of the model as `training` exports it: to ask Triton each time would cost a round trip."""


def recommend(histories: Mapping[str, History], context: Context) -> dict[str, Recommendations]:
    """Make recommendations for each user: one request for up to 256 of them."""
    users = list(histories)
    made: dict[str, Recommendations] = {}
    try:
        models = context.models()
        for first in range(0, len(users), MAX_BATCH_SIZE):
            some = users[first : first + MAX_BATCH_SIZE]
            made |= _by_model(models, {user: histories[user] for user in some}, now=context.now)
    except ModelMissing:
        return _by_popularity(histories, Store(context.redis), now=context.now())
    return made


def tensors(histories: Sequence[History]) -> dict[str, Array]:
    """Write histories as the inputs of the model, each padded to the same length so that they batch."""
    items = np.full((len(histories), HISTORY_LENGTH), NO_ITEM, np.int64)
    weights = np.zeros((len(histories), HISTORY_LENGTH), np.float32)
    for row, history in enumerate(histories):
        items[row, : len(history.items)] = history.items
        weights[row, : len(history.weights)] = history.weights
    return {ITEMS: items, WEIGHTS: weights}


def _by_model(
    models: ModelClient, histories: Mapping[str, History], *, now: Callable[[], float]
) -> dict[str, Recommendations]:
    answer = models.infer(SIGNATURE, tensors(list(histories.values())), timeout_seconds=TIMEOUT_SECONDS)
    rows = zip(histories.items(), answer.outputs[ITEM_IDS].tolist(), answer.outputs[SCORES].tolist(), strict=True)
    made_at = now()
    return {
        user: Recommendations(
            items=tuple(items),
            scores=tuple(round(score, 6) for score in scores),
            model_version=answer.model_version,
            event_at=history.last_at,
            made_at=made_at,
        )
        for (user, history), items, scores in rows
    }


def _by_popularity(histories: Mapping[str, History], store: Store, *, now: float) -> dict[str, Recommendations]:
    ranked = store.popular_items(now=now, count=TOP_N + HISTORY_LENGTH)
    return {
        user: Recommendations(
            items=most_popular(ranked, history, count=TOP_N),
            scores=(),
            model_version=POPULARITY,
            event_at=history.last_at,
            made_at=now,
        )
        for user, history in histories.items()
    }
