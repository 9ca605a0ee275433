"""Statuses are written in turns, and news never waits."""

from millrace_operator.pools.status_writes import MOST_NEWS, Turn, take_turns


def a_turn(uid: str, *, looked_at: float = 0.0, is_urgent: bool = False) -> Turn:
    return Turn(uid=uid, looked_at=looked_at, is_urgent=is_urgent)


def chosen(*turns: Turn, now: float = 100.0) -> set[str]:
    return {turn.uid for turn in take_turns(turns, pools=10, pass_seconds=1.0, interval_seconds=5.0, now=now)}


def test_of_ten_pools_two_have_their_turn_in_each_second_of_five() -> None:
    turns = [a_turn(str(number), looked_at=float(number)) for number in range(10)]

    assert {"0", "1"} == chosen(*turns)


def test_news_is_written_at_once_and_takes_nobodys_turn() -> None:
    news = [a_turn(f"news-{number}", looked_at=100.0, is_urgent=True) for number in range(5)]

    assert {"news-0", "news-1", "news-2", "news-3", "news-4", "a"} == chosen(*news, a_turn("a"))


def test_what_was_written_a_short_time_ago_waits() -> None:
    assert set() == chosen(a_turn("a", looked_at=96.0))


def test_a_thousand_pools_with_news_are_told_in_some_passes() -> None:
    assert MOST_NEWS == len(chosen(*(a_turn(str(number), is_urgent=True) for number in range(1000))))
