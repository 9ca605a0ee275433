"""The sentence that goes with a decision: the numbers behind it, for whoever asks "why this many pods?"."""

from millrace_operator.api.worker_pool import Objective
from millrace_operator.decision.demand import Work
from millrace_operator.model.estimates import Estimates

_TENTHS_BELOW = 10


def count(number: int, noun: str) -> str:
    """Write a number with its noun: "1 replica", "1,204 replicas"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def seconds(value: float) -> str:
    """Write a time: "0.12 s", "5.1 s", "120 s"."""
    if value < 1:
        return f"{value:.2g} s"
    return f"{value:.1f} s" if value < _TENTHS_BELOW and value != round(value) else f"{value:,.0f} s"


def rate(per_second: float) -> str:
    """Write a rate in the unit that people would use: "2.4/s", "12/min", "3/h"."""
    for unit, factor in (("s", 1), ("min", 60)):
        if per_second * factor >= 1:
            return f"{_two_digits(per_second * factor)}/{unit}"
    return f"{_two_digits(per_second * 3600)}/h"


def _two_digits(value: float) -> str:
    return f"{value:.1f}" if value < _TENTHS_BELOW and value != round(value) else f"{value:,.0f}"


def work_in_words(work: Work, estimates: Estimates, *, concurrency: int, first_seconds: float | None = None) -> str:
    """Say what there is to do: "96 tasks of 5.1 s wait, 3 run and 2.4/s arrive".

    `first_seconds` is what a task is taken to last while few have ended.
    """
    arrivals = estimates.arrivals_per_second
    arriving = f" and {rate(arrivals)} arrive" if arrivals else ""
    if not work.waiting and not work.running:
        return "no task waits or runs" + (f" ({rate(arrivals)} arrive on average)" if arrivals else "")
    length = "" if estimates.service_seconds is None else f" of {seconds(estimates.service_seconds)}"
    held = f" ({work.held_back:,} of them held back by their jobs)" if work.held_back else ""
    waiting = f"{count(work.waiting, 'task')}{length} {'waits' if work.waiting == 1 else 'wait'}{held}"
    running = f"{work.running:,} {'runs' if work.running == 1 else 'run'}"
    parts = f"{waiting if work.waiting else f'no task{length} waits'}, {running}{arriving}"
    slots = "" if concurrency == 1 else f", {concurrency:,} slots a pod"
    return f"{parts}{slots}{_of_unknown_time(first_seconds) if not length and work.waiting else ''}"


def _of_unknown_time(first_seconds: float | None) -> str:
    if first_seconds is None:
        return "; how long a task takes is not known yet, so each has a slot"
    return f"; few tasks have ended so far, so each is taken to last {seconds(first_seconds)}"


def terms_in_words(objective: Objective, estimates: Estimates) -> str:
    """Say what the number is measured by: "the objective is 30 s, a new pod takes 2.3 s"."""
    cold = estimates.cold_start_seconds
    pod = "" if cold is None else f", a new pod takes {seconds(cold)}"
    return f"the objective is {seconds(objective.wait_seconds)}{pod}"


def sentence(replicas: int, why: str, *, was: int) -> str:
    """Put a decision into a sentence."""
    return f"{count(replicas, 'replica')}: {why}." + ("" if replicas == was else f" Was {was:,}.")
