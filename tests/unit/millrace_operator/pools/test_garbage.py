"""Garbage is collected in pauses, before Python collects it in the midst of a pass."""

import gc

import pytest

from millrace_operator.pools.garbage import LEAST_PAUSE_SECONDS, collect_garbage, due_generation

THRESHOLDS = (100_000, 20, 100)


@pytest.mark.parametrize(
    ("counts", "due"),
    [
        pytest.param((49_999, 99, 999), None, id="too little was made"),
        pytest.param((50_000, 20, 100), 0, id="young objects"),
        pytest.param((50_000, 21, 100), 1, id="those that outlived twenty collections, too"),
        pytest.param((50_000, 0, 101), 2, id="all objects"),
    ],
)
def test_what_python_would_collect_before_long_is_due(counts: tuple[int, int, int], due: int | None) -> None:
    assert due == due_generation(counts, THRESHOLDS)


def test_nothing_is_due_where_collection_is_switched_off() -> None:
    assert due_generation((900_000, 99, 99), (0, 20, 100)) is None


@pytest.mark.parametrize(
    ("pause_seconds", "generations"),
    [pytest.param(LEAST_PAUSE_SECONDS, [0], id="a pause"), pytest.param(0.1, [], id="a late pass has none")],
)
def test_garbage_waits_for_a_pause_that_is_long_enough(
    pause_seconds: float, generations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[int] = []
    monkeypatch.setattr(gc, "get_count", lambda: (50_000, 0, 0))
    monkeypatch.setattr(gc, "get_threshold", lambda: THRESHOLDS)
    monkeypatch.setattr(gc, "collect", collected.append)

    collect_garbage(pause_seconds=pause_seconds)

    assert generations == collected
