"""Which offset may be committed."""

from hypothesis import given
from hypothesis import strategies as st

from millrace_ingest.progress import Progress


def test_nothing_is_committed_before_the_first_batch_is_confirmed() -> None:
    progress = Progress()
    progress.sent(5)
    assert progress.committable() is None


def test_a_batch_that_is_confirmed_early_waits_for_the_ones_before_it() -> None:
    progress = Progress()
    first, second = progress.sent(5), progress.sent(9)
    second()
    assert progress.committable() is None
    first()
    assert 9 == progress.committable()


def test_a_dead_letter_that_kafka_does_not_have_holds_what_comes_after_it() -> None:
    progress = Progress()
    delivered = progress.dead_letter(3)
    progress.sent(5)()
    assert (3, False) == (progress.committable(), progress.is_settled)
    delivered()
    assert (5, True) == (progress.committable(), progress.is_settled)


def test_what_is_committed_is_not_committed_again() -> None:
    progress = Progress()
    progress.sent(5)()
    progress.committed = 5
    assert progress.committable() is None


@given(st.lists(st.booleans(), max_size=30), st.randoms(use_true_random=False))
def test_an_offset_is_committed_only_when_all_before_it_is_settled(dead: list[bool], order: object) -> None:
    progress = Progress()
    settlements = []
    for offset, is_dead in enumerate(dead):
        if is_dead:
            settlements.append((offset, progress.dead_letter(offset)))
            progress.sent(offset + 1)()
        else:
            settlements.append((offset, progress.sent(offset + 1)))
    order.shuffle(settlements)  # type: ignore[attr-defined] # hypothesis' own random
    open_offsets = {offset for offset, _ in settlements}
    for offset, settle in settlements:
        settle()
        open_offsets.discard(offset)
        expected = min(open_offsets, default=len(dead))
        assert expected == (progress.committable() or 0)
    assert progress.is_settled
