from millrace_demo.recommender_story import POPULARITY, Reading, Slot, Story


def slot(began_at: float, version: str, *, hits: int, events: int = 1000) -> Slot:
    return Slot(began_at=began_at, version=version, events=events, hits=hits)


def reading(*slots: Slot, read_at: float = 500.0, events: int = 0, newest: float | None = None) -> Reading:
    return Reading(
        read_at=read_at,
        slots=slots,
        latency_p50_seconds=0.1,
        latency_p95_seconds=0.2,
        newest_event_at=newest,
        events=events,
    )


def story(*slots: Slot) -> Story:
    told = Story(since=0.0)
    told.add(reading(*slots))
    return told


AGEING = (
    slot(0, POPULARITY, hits=150),
    slot(20, POPULARITY, hits=150),
    slot(40, "1", hits=350),
    slot(60, "1", hits=330),
    slot(80, "1", hits=300),
    slot(100, "1", hits=280),
    slot(120, "2", hits=340),
    slot(140, "2", hits=340),
    slot(160, "2", hits=330),
)


def test_a_version_is_judged_when_new_and_when_aged() -> None:
    worth = story(*AGEING).versions[1]
    assert ("1", 0.34, 0.29) == (worth.version, worth.when_new, worth.when_aged)


def test_each_new_model_is_compared_with_what_was_before() -> None:
    pairs = [(before.version, new.version) for before, new in story(*AGEING).trainings]
    assert [(POPULARITY, "1"), ("1", "2")] == pairs


def test_versions_that_meet_in_one_slot_stand_in_the_order_of_their_use() -> None:
    told = story(slot(0, "1", hits=350), slot(0, POPULARITY, hits=150), slot(20, "1", hits=350))
    assert [POPULARITY, "1"] == [worth.version for worth in told.versions]


def test_it_ends_when_the_last_model_was_in_use_long_enough() -> None:
    assert not story(*AGEING[:-1]).has_seen(2)
    assert story(*AGEING).has_seen(2)
    assert not story(*AGEING).has_seen(3)


def test_users_who_keep_old_answers_do_not_make_an_old_version_go_on() -> None:
    straggler = slot(160, "1", hits=1, events=10)
    worth = story(*AGEING, straggler).versions[1]
    assert 0.29 == worth.when_aged


def test_a_later_reading_of_a_slot_replaces_the_earlier() -> None:
    told = story(slot(0, "1", hits=1, events=10))
    told.add(reading(slot(0, "1", hits=5, events=10)))
    assert 0.5 == told.versions[0].when_new


def test_what_was_before_the_story_began_is_not_told() -> None:
    told = Story(since=100.0)
    told.add(reading(slot(80, "1", hits=5), slot(100, "2", hits=5)))
    assert ["2"] == [worth.version for worth in told.versions]


def test_the_rate_of_events_is_that_between_two_readings() -> None:
    told = Story(since=0.0)
    told.add(reading(read_at=10.0, events=100))
    assert told.events_per_second is None
    told.add(reading(read_at=15.0, events=1100))
    assert 200.0 == told.events_per_second


def test_how_far_it_is_behind_is_unknown_before_the_first_event() -> None:
    assert reading().behind_seconds is None
    assert 2.0 == reading(newest=498.0).behind_seconds
