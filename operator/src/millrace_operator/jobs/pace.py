"""How fast a job was lately, from what was seen of its progress. Pure.

Records are done in tasks, so progress comes in steps. Speed is measured from one step to another, never up to now or
from the middle of a task: then a few long tasks and thousands of short ones give the same answer, and a job that waits
keeps its number. The window is recent, so that a pool that grew or shrank shows within a minute.

What workers have done of tasks that have not ended does not count. So a job of which each worker does only a handful of
tasks is known to no more than one of them.
"""

from dataclasses import dataclass, replace
from typing import Final

WINDOW_SECONDS: Final = 60.0
LEAST_STEPS: Final = 32
"""Of long tasks, the window holds this many steps, however old they are."""
SPACING_SECONDS: Final = 2.0
"""Steps that are closer to the one before are not remembered apart."""


@dataclass(frozen=True, slots=True)
class Step:
    """So many records were done at a moment at which one more task ended."""

    at: float
    done: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The steps that are remembered of one job, in order of time; the first counts as where it began."""

    epoch: int
    steps: tuple[Step, ...]

    def per_second(self, at: float, done: int) -> float | None:
        """Answer the records per second up to the step `done` at `at`; None before there are two steps."""
        before = next((step for step in self.steps if step.done < done and step.at < at), None)
        return None if before is None else (done - before.done) / (at - before.at)


def watch(pace: Pace | None, *, epoch: int, began_at: float, at: float, done: int) -> Pace:
    """Remember a step. A job that was suspended or published anew has a new epoch and begins anew."""
    if pace is None:
        # Nothing is known of the steps before: the mean since the beginning stands for them.
        return Pace(epoch=epoch, steps=(Step(began_at, 0), Step(at, done)) if at > began_at else (Step(at, done),))
    if pace.epoch != epoch or done < pace.steps[-1].done:
        return Pace(epoch=epoch, steps=(Step(at, done),))
    last = pace.steps[-1]
    if done == last.done or at - last.at < SPACING_SECONDS:
        return pace
    steps = (*pace.steps, Step(at, done))
    first = 0
    while first + LEAST_STEPS < len(steps) and steps[first + 1].at <= at - WINDOW_SECONDS:
        first += 1
    return replace(pace, steps=steps[first:])
