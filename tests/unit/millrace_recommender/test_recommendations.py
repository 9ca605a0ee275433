from millrace_recommender.events import Event, History
from millrace_recommender.recommendations import HitCount, Known, Recommendations, count_hits, most_popular
from millrace_recommender.tasks import knows


def recommended(*items: int, version: str = "3", event_at: float = 10.0) -> Recommendations:
    return Recommendations(items=items, scores=(), model_version=version, event_at=event_at, made_at=11.0)


def event(item: int, *, user: str = "u1", at: float = 20.0) -> Event:
    return Event(user=user, item=item, weight=1.0, at=at)


def test_redis_gives_back_the_same_recommendations() -> None:
    assert recommended(4, 5) == Recommendations.read(recommended(4, 5).write())


def test_a_hit_is_an_event_whose_item_was_recommended_before() -> None:
    known = {"u1": Known(recommendations=recommended(4, 5))}
    assert {"3": HitCount(events=2, hits=1)} == count_hits([event(4), event(9)], known)


def test_each_version_answers_for_its_own_recommendations() -> None:
    known = {
        "u1": Known(recommendations=recommended(4, version="3")),
        "u2": Known(recommendations=recommended(4, version="popularity")),
    }
    counts = count_hits([event(4), event(9, user="u2")], known)
    assert {"3": HitCount(1, 1), "popularity": HitCount(1, 0)} == counts


def test_an_item_that_the_user_has_just_seen_says_nothing() -> None:
    known = {"u1": Known(recommendations=recommended(4), history=History(items=(9,), weights=(1.0,)))}
    assert {"3": HitCount(1, 1)} == count_hits([event(9), event(4), event(4)], known)


def test_nobody_is_judged_by_recommendations_that_he_did_not_have() -> None:
    assert {} == count_hits([event(4)], {"u1": Known()})


def test_no_events_give_no_rate() -> None:
    assert HitCount().rate is None
    assert HitCount(events=4, hits=1).rate == 0.25


def test_what_is_popular_leaves_out_what_the_user_has_just_seen() -> None:
    assert (1, 3) == most_popular([1, 2, 3, 4], History(items=(2,), weights=(1.0,)), count=2)


def test_a_second_delivery_is_known_by_the_time_of_the_newest_event() -> None:
    known = Known(recommendations=recommended(4, event_at=20.0))
    assert knows(known, event(1, at=20.0))
    assert not knows(known, event(1, at=20.1))
    assert not knows(Known(), event(1))
