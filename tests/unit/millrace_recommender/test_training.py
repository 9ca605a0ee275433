from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from millrace_recommender import layout
from millrace_recommender.behaviour import Behaviour, World
from millrace_recommender.errors import NotEnoughEvents
from millrace_recommender.events import Event
from millrace_recommender.features import Features, count_matrix, make_features
from millrace_recommender.pipeline import HIT_RATE, count_held_out, hit_rate
from millrace_recommender.training import Factors, Hyperparameters, export, factorise, read_factors, top_items

TRAINED_AT, AGED_AT = 120.0, 300.0
"""Seconds of the generated world."""


def events_until(end: float, *, drift: float, seed: int) -> list[Event]:
    behaviour = Behaviour(users=150, items=120, events_per_second=50, drift_per_hour=drift, open_sessions=30)
    return [
        Event(user=f"u{seen.user}", item=seen.item, weight=1.0, at=seen.at)
        for seen in takewhile(lambda seen: seen.at < end, World(behaviour, seed=seed).events())
    ]


def features_of(events: list[Event]) -> list[Features]:
    return [make_features(events, half_life_seconds=90, held_out_per_user=10)]


def trained(features: list[Features]) -> Factors:
    return factorise(count_matrix(features), Hyperparameters())


@pytest.fixture(scope="module")
def features() -> list[Features]:
    return features_of(events_until(TRAINED_AT, drift=6, seed=1))


@pytest.fixture(scope="module")
def factors(features: list[Features]) -> Factors:
    return trained(features)


def rates(*, drift: float, seed: int) -> tuple[float, float]:
    """Hit rates on the last events of a model that is three minutes old, and of one that was trained anew."""
    events = events_until(AGED_AT, drift=drift, seed=seed)
    early, late = features_of([event for event in events if event.at < TRAINED_AT]), features_of(events)
    aged, fresh = (hit_rate(count_held_out(trained(part), late))[HIT_RATE] for part in (early, late))
    return aged, fresh


def test_where_tastes_drift_a_model_ages_and_training_anew_makes_up_for_it() -> None:
    aged, fresh = rates(drift=6, seed=0)
    assert fresh > aged + 0.05


def test_where_nothing_drifts_an_old_model_is_as_good_as_a_new_one() -> None:
    aged, fresh = rates(drift=0, seed=0)
    assert abs(fresh - aged) < 0.04


def test_a_model_knows_more_than_what_is_popular(features: list[Features], factors: Factors) -> None:
    popular = Factors(items=0 * factors.items, fold_in=0 * factors.fold_in, popularity=factors.popularity)
    by_model, by_popularity = (hit_rate(count_held_out(model, features))[HIT_RATE] for model in (factors, popular))
    assert by_model > by_popularity + 0.08


def test_training_again_gives_the_same_model(features: list[Features]) -> None:
    first, second = (export(trained(features)).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_the_onnx_model_answers_as_numpy_does(features: list[Features], factors: Factors) -> None:
    items, weights = features[0].history_items[:40], features[0].history_weights[:40]
    feed = {layout.ITEMS: items, layout.WEIGHTS: weights}
    answers: Any = ReferenceEvaluator(export(factors)).run([layout.ITEM_IDS, layout.SCORES], feed)
    ids, scores = answers
    assert (40, layout.TOP_N) == ids.shape
    np.testing.assert_array_equal(top_items(factors, items, weights), ids)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_the_factors_can_be_read_back_from_the_file(factors: Factors) -> None:
    again = read_factors(export(factors))
    np.testing.assert_array_equal(factors.items, again.items)
    np.testing.assert_array_equal(factors.fold_in, again.fold_in)
    np.testing.assert_array_equal(factors.popularity, again.popularity)


def test_nobody_is_recommended_what_he_has_just_seen(features: list[Features], factors: Factors) -> None:
    items, weights = features[0].history_items, features[0].history_weights
    best = top_items(factors, items, weights)
    assert not (best[:, :, None] == np.where(items < 0, -2, items)[:, None, :]).any()


def test_items_that_came_after_the_training_and_padding_count_for_nothing(factors: Factors) -> None:
    known = np.array([[5, 9, -1, -1]]), np.array([[1.0, 0.5, 0, 0]], np.float32)
    mixed = np.array([[5, 9999, 9, -1]]), np.array([[1.0, 3.0, 0.5, 7.0]], np.float32)
    np.testing.assert_array_equal(top_items(factors, *known), top_items(factors, *mixed))


def test_a_user_of_whom_nothing_is_known_gets_what_is_popular(factors: Factors) -> None:
    best = top_items(factors, np.full((1, 3), -1), np.zeros((1, 3), np.float32))
    assert set(np.argsort(-factors.popularity)[: layout.TOP_N]) == set(best[0])


def test_held_out_events_are_in_nothing_that_is_learned_from() -> None:
    events = [Event(user="u", item=item, weight=1.0, at=float(item)) for item in range(10)]
    (features,) = [make_features(events, half_life_seconds=5, held_out_per_user=3)]
    assert [7, 8, 9] == features.held_out[0].tolist()
    assert list(range(7)) == sorted(features.count_items.tolist())
    assert {7, 8, 9}.isdisjoint(features.history_items[0].tolist())


def test_an_event_counts_half_when_it_is_a_half_life_older() -> None:
    events = [Event(user="u", item=item, weight=1.0, at=at) for item, at in [(0, 90.0), (1, 100.0), (2, 110.0)]]
    features = make_features(events, half_life_seconds=10, held_out_per_user=1)
    assert [0.25, 0.5] == features.counts.tolist()


def test_features_are_read_as_they_were_written(features: list[Features], tmp_path: Path) -> None:
    features[0].write(tmp_path / "features.npz")
    again = Features.read(tmp_path / "features.npz")
    np.testing.assert_array_equal(features[0].counts, again.counts)
    np.testing.assert_array_equal(features[0].users, again.users)


def test_an_empty_log_is_no_model() -> None:
    with pytest.raises(NotEnoughEvents, match="let the stream run for longer"):
        trained(features_of([]))


def test_without_held_out_events_nothing_is_measured() -> None:
    with pytest.raises(NotEnoughEvents):
        hit_rate({"events": 0, "hits": 0})
