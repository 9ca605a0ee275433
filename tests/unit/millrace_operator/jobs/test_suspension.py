"""Suspended jobs, deadlines, and what is said of them."""

from typing import Any

import pytest
from operator_jobs import NOW, finalized, job, job_body, message, running, submitted, verdict, view

from millrace_contracts.errors import JobFailure
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.readings import FailedRecords, LedgerMissing
from millrace_operator.jobs.steps import Stop

FRESH: dict[str, Any] = {"plan_published_at": NOW, "planned_as": "priority=4 maxWorkers=all"}


def test_a_job_that_is_made_suspended_is_checked_and_not_submitted() -> None:
    step = advance(view(job(suspend=True), LedgerMissing()), now=NOW)
    assert ((), "Suspended") == (step.actions, step.status["state"])
    assert ("True", "Suspended") == verdict(step.status, "Suspended")
    assert ("True", "Accepted") == verdict(step.status, "Validated")
    assert "startTime" not in step.status


def test_a_suspended_job_says_how_many_tasks_end_first_and_has_no_start() -> None:
    status = {"startTime": "2027-01-15T07:00:00Z", "state": "Running"}
    ledger = running(is_suspended=True, shards_active=2)
    step = advance(view(job(suspend=True, status=status), ledger), now=NOW)
    assert "2 tasks that workers hold end first." in message(step.status, "Suspended")
    assert (False, "Suspended") == ("startTime" in step.status, step.status["state"])


def test_a_job_that_goes_on_says_that_it_is_not_suspended_any_more_and_starts_anew() -> None:
    before = dict(advance(view(job(suspend=True), running(is_suspended=True)), now=NOW - 1).status)
    after = advance(view(job(status=before), running(resumed_at=NOW, **FRESH)), now=NOW).status
    assert ("False", "Resumed") == verdict(after, "Suspended")
    assert ("Running", "2027-01-15T08:00:00Z") == (after["state"], after["startTime"])


def test_the_deadline_does_not_count_while_the_job_is_suspended() -> None:
    suspended = running(is_suspended=True, submitted_at=NOW - 10_000)
    assert () == advance(view(job(suspend=True, activeDeadlineSeconds=60), suspended), now=NOW).actions


@pytest.mark.parametrize(("seconds", "expected"), [(59, 0), (60, 1)])
def test_a_job_that_no_worker_began_in_time_expires(seconds: float, expected: int) -> None:
    waiting = submitted(submitted_at=NOW - seconds, **FRESH)
    actions = advance(view(job(queueingDeadlineSeconds=60), waiting), now=NOW).actions
    assert [JobFailure.QUEUEING_DEADLINE_EXCEEDED] * expected == [a.reason for a in actions if isinstance(a, Stop)]


def test_a_job_that_was_begun_in_time_has_no_queueing_deadline_any_more() -> None:
    begun = running(submitted_at=NOW - 10_000, **FRESH)
    assert () == advance(view(job(queueingDeadlineSeconds=60), begun), now=NOW).actions


@pytest.mark.parametrize(
    ("created", "state"), [("2027-01-15T07:59:01Z", "Pending"), ("2027-01-15T07:59:00Z", "Expired")]
)
def test_a_job_whose_pool_never_came_expires_too(created: str, state: str) -> None:
    body = job_body(queueingDeadlineSeconds=60)
    body["metadata"]["creationTimestamp"] = created
    step = advance(view(PredictionJob.from_body(body), LedgerMissing(), pool=None), now=NOW)
    assert state == step.status["state"]


@pytest.mark.parametrize(
    ("reason", "state"),
    [("Cancelled", "Cancelled"), ("QueueingDeadlineExceeded", "Expired"), ("FailureBudgetExceeded", "Failed")],
)
def test_the_state_names_why_a_job_was_stopped(reason: str, state: str) -> None:
    status = advance(view(job(), running(stop_reason=reason, stop_message="because")), now=NOW).status
    assert (state, ("False", reason)) == (status["state"], verdict(status, "Succeeded"))


@pytest.mark.parametrize(
    ("policy", "state", "succeeded"), [("Succeed", "PartiallySucceeded", "True"), ("Fail", "Failed", "False")]
)
def test_some_failed_records_mean_what_the_user_says(policy: str, state: str, succeeded: str) -> None:
    ledger = finalized(succeeded=539, failed=1)
    status = advance(view(job(failurePolicy={"onPartialFailure": policy}), ledger), now=NOW).status
    assert (state, (succeeded, "CompletedWithFailures")) == (status["state"], verdict(status, "Succeeded"))


def test_a_record_that_ends_its_workers_is_named_and_unsaid_once_it_was_redriven() -> None:
    poison = FailedRecords(code="PoisonMessage", message="Its worker died 3 times", count=1, sample_key="in.jsonl:7")
    before = dict(advance(view(job(), running(dead_lettered=1, failures=(poison,))), now=NOW).status)
    assert ("True", "PoisonMessage") == verdict(before, "Degraded")
    assert "record in.jsonl:7 is one of them" in message(before, "Degraded")
    after = advance(view(job(status=before), running()), now=NOW + 1).status
    assert ("False", "NothingLost") == verdict(after, "Degraded")
