"""Many independent plays on all cores."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from millrace_loadtest.simulator.progress import Progress

Job = TypeVar("Job")
Result = TypeVar("Result")

_current: tuple[Callable[[Any], Any], Sequence[Any]] = (lambda _: None, ())


def map_all(play: Callable[[Job], Result], jobs: Sequence[Job], *, progress: Progress | None = None) -> list[Result]:
    """Return the result of each job, in their order."""
    global _current  # noqa: PLW0603 - forked workers inherit it: scenarios hold functions, which cannot be pickled
    _current = (play, jobs)
    results: dict[int, Result] = {}
    workers = min(os.cpu_count() or 1, len(jobs))
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        for index, result in pool.imap_unordered(_play_by_index, range(len(jobs))):
            results[index] = result
            if progress:
                progress(len(results), len(jobs))
    return [results[index] for index in range(len(jobs))]


def _play_by_index(index: int) -> tuple[int, Any]:
    play, jobs = _current
    return index, play(jobs[index])
