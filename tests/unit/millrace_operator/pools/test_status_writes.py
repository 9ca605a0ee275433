"""Statuses are written in turns, and news never waits."""

from millrace_operator.pools.status_writes import Draft, choose


def a_draft(uid: str, *, written_at: float = 0.0, is_urgent: bool = False) -> Draft:
    return Draft(uid=uid, patch={}, status={}, is_urgent=is_urgent, written_at=written_at)


def chosen(*drafts: Draft, now: float = 100.0) -> set[str]:
    return set(choose(drafts, pools=10, pass_seconds=1.0, interval_seconds=5.0, now=now))


def test_of_ten_pools_two_have_their_turn_in_each_second_of_five() -> None:
    drafts = [a_draft(str(number), written_at=float(number)) for number in range(10)]

    assert {"0", "1"} == chosen(*drafts)


def test_news_is_written_at_once_and_takes_nobodys_turn() -> None:
    news = [a_draft(f"news-{number}", written_at=100.0, is_urgent=True) for number in range(5)]

    assert {"news-0", "news-1", "news-2", "news-3", "news-4", "a"} == chosen(*news, a_draft("a"))


def test_what_was_written_a_short_time_ago_waits() -> None:
    assert set() == chosen(a_draft("a", written_at=96.0))
