"""Is the new version good enough to be published? Pure."""

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millrace_contracts.pipelines import Evaluate
from millrace_worker.pipeline.errors import StepFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether to publish, and the sentence that says why."""

    is_accepted: bool
    message: str


def judge(
    metrics: Mapping[str, float], baseline: Mapping[str, float], rule: Evaluate, *, serving: str, note: str = ""
) -> Verdict:
    """Compare the metric of the new version with that of the serving one."""
    new = metrics[rule.metric]
    if rule.metric not in baseline:
        why = note or "no version serves that it could be compared with"
        return Verdict(is_accepted=True, message=f"{rule.metric} is {new:.6g}; {why}")
    old = baseline[rule.metric]
    gain = new - old if rule.higher_is_better else old - new
    numbers = f"{rule.metric} is {new:.6g}, that of version {serving}, which serves, is {old:.6g}"
    if gain >= rule.minimum_improvement:
        return Verdict(is_accepted=True, message=numbers)
    direction, opposite = ("higher", "lower") if rule.higher_is_better else ("lower", "higher")
    wanted = (
        f"must be {direction} by at least {rule.minimum_improvement:g}"
        if rule.minimum_improvement > 0
        else f"must not be {opposite}"
    )
    return Verdict(is_accepted=False, message=f"{numbers}; it {wanted}, so version {serving} goes on serving")


def read_metrics(answer: Any, rule: Evaluate, *, whose: str) -> dict[str, float]:
    """Check what `evaluate` answered: finite numbers by name, the deciding one among them."""
    if not isinstance(answer, Mapping):
        raise StepFailed(f"evaluate answered {type(answer).__name__} for {whose}; it must answer a dict of numbers")
    others = sorted(str(name) for name, value in answer.items() if not _is_number(value))
    if others:
        raise StepFailed(f"evaluate answered something that is no number for {whose}: {', '.join(others)}")
    metrics = {str(name): float(value) for name, value in answer.items()}
    if rule.metric not in metrics:
        found = ", ".join(sorted(metrics)) or "none"
        raise StepFailed(f'evaluate did not answer the metric "{rule.metric}" for {whose}; it answered {found}')
    broken = sorted(name for name, value in metrics.items() if not math.isfinite(value))
    if broken:
        raise StepFailed(f"evaluate answered no finite number for {whose}: {', '.join(broken)}")
    return metrics


def _is_number(value: Any) -> bool:
    """Say whether it is a real number; numpy's scalars are, Python's truth values are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
