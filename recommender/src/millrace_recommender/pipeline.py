"""The steps of the recommender's pipeline: plain functions, named by dotted path in the chart's `pipelines`.

`parameters` of the pipeline: `halfLifeSeconds` (an event counts half when it is so much older than the newest; take it
from how fast tastes drift) and `heldOutPerUser`.
"""

from collections.abc import Mapping
from typing import Final

import onnx

from millrace_recommender.errors import NotEnoughEvents
from millrace_recommender.features import Features, count_matrix, make_features
from millrace_recommender.layout import SHARDS
from millrace_recommender.store import Store
from millrace_recommender.training import (
    TRITON_CONFIG,
    Factors,
    Hyperparameters,
    export,
    factorise,
    read_factors,
    top_items,
)
from millrace_worker.pipeline.step_context import StepContext

FEATURES_FILE: Final = "features.npz"
MODEL_FILE: Final = "model.onnx"
HALF_LIFE_SECONDS: Final = 86_400.0
HELD_OUT_PER_USER: Final = 3
HIT_RATE: Final = "hit_rate"


def list_shards(context: StepContext) -> list[str]:
    """Answer the shards of the event log."""
    del context
    return [str(shard) for shard in range(SHARDS)]


def preprocess(shard: str, context: StepContext) -> None:
    """Make the features of the users of one shard."""
    events = Store(context.redis).log(shard)
    features = make_features(
        events,
        half_life_seconds=float(context.parameters.get("halfLifeSeconds", HALF_LIFE_SECONDS)),
        held_out_per_user=int(context.parameters.get("heldOutPerUser", HELD_OUT_PER_USER)),
    )
    features.write(context.output / FEATURES_FILE)
    context.log.info("features made", shard=shard, events=len(events), users=len(features.users))


def train(context: StepContext) -> None:
    """Train on all shards and leave a model for Triton."""
    factors = factorise(count_matrix(_features(context)), Hyperparameters())
    folder = context.output / "model"
    folder.mkdir()
    (folder / MODEL_FILE).write_bytes(export(factors).SerializeToString(deterministic=True))
    (context.output / "config.pbtxt").write_text(TRITON_CONFIG)
    context.log.info("factors trained", items=len(factors.items))


def evaluate(context: StepContext) -> dict[str, float]:
    """Measure a model on the held-out events: how many of them it would have recommended."""
    if context.model_folder is None:
        raise NotEnoughEvents("there is no model to evaluate")
    factors = read_factors(onnx.load(context.model_folder / MODEL_FILE))
    return hit_rate(count_held_out(factors, _features(context)))


def count_held_out(factors: Factors, features: list[Features]) -> Mapping[str, int]:
    """Count held-out events, and those whose item the model has among its top."""
    events = hits = 0
    for shard in features:
        wanted = shard.held_out >= 0
        best = top_items(factors, shard.history_items, shard.history_weights)
        events += int(wanted.sum())
        hits += int((wanted & (shard.held_out[:, :, None] == best[:, None, :]).any(axis=2)).sum())
    return {"events": events, "hits": hits}


def hit_rate(counts: Mapping[str, int]) -> dict[str, float]:
    """Answer the metrics; without held-out events nothing can be said, and the run fails."""
    if not counts["events"]:
        raise NotEnoughEvents("no event is held out to measure a model on; let the stream run for longer")
    return {HIT_RATE: round(counts["hits"] / counts["events"], 4), "held_out_events": float(counts["events"])}


def _features(context: StepContext) -> list[Features]:
    return [Features.read(folder / FEATURES_FILE) for _, folder in sorted(context.inputs.items())]
