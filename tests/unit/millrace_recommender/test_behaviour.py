from itertools import islice, takewhile

import numpy as np

from millrace_recommender.behaviour import Activity, Behaviour, Floats, World

SMALL = Behaviour(users=50, items=80, events_per_second=100, open_sessions=10)


def first(count: int, *, seed: int = 1, behaviour: Behaviour = SMALL) -> list[Activity]:
    return list(islice(World(behaviour, seed=seed).events(), count))


def test_the_same_seed_gives_the_same_events() -> None:
    assert first(500) == first(500)
    assert first(500) != first(500, seed=2)


def test_events_come_at_the_stated_rate() -> None:
    lasted = first(5000)[-1].at
    assert 0.9 < 5000 / lasted / SMALL.events_per_second < 1.1


def test_a_purchase_follows_a_view_of_the_same_item() -> None:
    events = first(2000)
    purchases = [i for i, event in enumerate(events) if event.kind == "purchase"]
    assert purchases
    for i in purchases:
        assert ("view", events[i].user, events[i].item) == (
            events[i - 1].kind,
            events[i - 1].user,
            events[i - 1].item,
        )


def test_a_user_hardly_ever_looks_at_one_of_his_last_items_again() -> None:
    lately: dict[int, list[int]] = {}
    again = 0
    views = [event for event in first(3000, behaviour=Behaviour()) if event.kind == "view"]
    for event in views:
        seen = lately.setdefault(event.user, [])
        again += event.item in seen[-Behaviour().forgets_after :]
        seen.append(event.item)
    assert again / len(views) < 0.05


def shares(events: list[Activity]) -> Floats:
    counts = np.bincount([event.item for event in events], minlength=SMALL.items).astype(np.float64)
    whole: Floats = counts / counts.sum()
    return whole


def change(drift_per_hour: float) -> float:
    """How far the items' shares move from the first minute to the fifth, half the sum of differences."""
    behaviour = Behaviour(users=50, items=80, events_per_second=30, drift_per_hour=drift_per_hour, groups=2)
    events = list(takewhile(lambda event: event.at < 300, World(behaviour, seed=5).events()))
    early, late = [event for event in events if event.at < 60], [event for event in events if event.at >= 240]
    return float(np.abs(shares(early) - shares(late)).sum() / 2)


def test_tastes_change_with_drift_and_not_without() -> None:
    assert change(12.0) > change(0.0) + 0.1
