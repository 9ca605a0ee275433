from typing import Any

import pytest

from millrace_demo.job_view import JobView, condition, conditions_in_words


def job(**status: Any) -> dict[str, Any]:
    return {"metadata": {"uid": "u"}, "status": status}


def succeeded(status: str) -> list[dict[str, str]]:
    return [{"type": "Succeeded", "status": status, "reason": "Why", "message": "In words."}]


def test_a_job_that_nobody_has_seen_yet_is_pending_with_an_unknown_total() -> None:
    view = JobView.of({"metadata": {"uid": "u"}})
    assert ("Pending", None, None) == (view.state, view.total, view.has_succeeded)


def test_a_total_of_minus_one_is_unknown() -> None:
    assert JobView.of(job(records={"total": -1})).total is None


@pytest.mark.parametrize(("status", "expected"), [("Unknown", None), ("True", True), ("False", False)])
def test_the_condition_succeeded_says_whether_and_how_the_job_ended(status: str, *, expected: bool | None) -> None:
    assert expected is JobView.of(job(conditions=succeeded(status))).has_succeeded


def test_done_records_are_those_that_ended_well_or_not() -> None:
    assert 5 == JobView.of(job(records={"total": 9, "succeeded": 3, "failed": 2})).done


def test_a_condition_that_is_not_there_is_empty() -> None:
    assert {} == condition(job(conditions=succeeded("True")), "Running")


def test_conditions_are_told_with_reason_and_message() -> None:
    assert "  Succeeded=False Why: In words." == conditions_in_words(job(conditions=succeeded("False")))


def test_a_job_without_conditions_hints_at_the_operator() -> None:
    assert "is its pod running?" in conditions_in_words(job())


def test_what_a_job_does_now_is_told_by_the_condition_that_holds() -> None:
    held = [
        {"type": "Running", "status": "False", "reason": "NotStarted", "message": "No worker has begun."},
        {"type": "Queued", "status": "True", "reason": "WaitingForWorkers", "message": "54 tasks wait."},
    ]
    assert "54 tasks wait." == JobView.of(job(conditions=[*held, *succeeded("Unknown")])).activity


def test_what_an_ended_job_does_is_its_outcome() -> None:
    assert "In words." == JobView.of(job(conditions=succeeded("True"))).activity
