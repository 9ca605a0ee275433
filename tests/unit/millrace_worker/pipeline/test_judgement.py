"""Whether a new version is published, and what is said of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.pipelines import Evaluate
from millrace_worker.pipeline.errors import StepFailed
from millrace_worker.pipeline.judgement import judge, read_metrics

numbers = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)


def rule(**more: Any) -> Evaluate:
    return Evaluate(function="steps.evaluate", metric="hit_rate", **more)


@given(new=numbers, old=numbers)
def test_by_default_only_a_worse_version_is_refused(new: float, old: float) -> None:
    verdict = judge({"hit_rate": new}, {"hit_rate": old}, rule(), serving="3")
    assert (new >= old) == verdict.is_accepted


@given(new=numbers, old=numbers, needed=st.floats(0, 100))
def test_what_is_better_when_high_is_worse_when_low(new: float, old: float, needed: float) -> None:
    high = judge({"hit_rate": new}, {"hit_rate": old}, rule(minimum_improvement=needed), serving="3")
    low = judge(
        {"hit_rate": old}, {"hit_rate": new}, rule(minimum_improvement=needed, higher_is_better=False), serving="3"
    )
    assert high.is_accepted == low.is_accepted


@given(new=numbers)
def test_the_first_version_is_published_whatever_its_metric(new: float) -> None:
    assert judge({"hit_rate": new}, {}, rule(), serving="").is_accepted


def test_a_refusal_says_both_numbers_and_what_was_asked_for() -> None:
    verdict = judge(
        {"hit_rate": 0.31}, {"hit_rate": 0.3}, rule(minimum_improvement=0.05, higher_is_better=True), serving="7"
    )
    assert not verdict.is_accepted
    assert (
        "hit_rate is 0.31, that of version 7, which serves, is 0.3; it must be higher by at least 0.05, so version 7 "
        "goes on serving"
    ) == verdict.message


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "answered NoneType"),
        ({"hit_rate": "good"}, "no number.*hit_rate"),
        ({"hit_rate": "0.9"}, "no number.*hit_rate"),
        ({"hit_rate": True}, "no number.*hit_rate"),
        ({"recall": 0.5}, 'did not answer the metric "hit_rate".*recall'),
        ({"hit_rate": float("nan")}, "no finite number.*hit_rate"),
    ],
)
def test_an_answer_of_evaluate_that_decides_nothing_is_a_failure_with_a_reason(answer: object, problem: str) -> None:
    with pytest.raises(StepFailed, match=problem):
        read_metrics(answer, rule(), whose="the new version")
