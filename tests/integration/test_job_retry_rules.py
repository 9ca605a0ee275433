"""What becomes of a record on which the model fails, in each way in which a model can, on a real Triton."""

from typing import Any

import pytest
from worker_jobs import Job, Platform

from millrace_contracts.ledger import Field
from millrace_contracts.tasks import Backoff, FailureBudget, RetryAction, RetryPolicy, RetryRule

TORN, EMPTY, BUSY, SLOW = -1, -2, -3, -4
"""First numbers of a record that make the model "moody" fail: INTERNAL, INVALID_ARGUMENT, UNAVAILABLE, not in time."""

AT_ONCE = Backoff(initial_delay_seconds=0)
RECORDS = 12
BAD = 5


def rule(action: RetryAction, *codes: str, words: str = "") -> RetryRule:
    return RetryRule(action=action, on_codes=list(codes), on_message_contains=words)


def records(kind: int) -> list[dict[str, Any]]:
    """Make records of which one is of this kind."""
    return [{"id": i, "x": [kind if i == BAD else i, i]} for i in range(RECORDS)]


def submit(
    pool: Platform, kind: int, *rules: RetryRule, budget: int | None = None, timeout_seconds: int = 10, **policy: Any
) -> Job:
    """Submit a job of which one record is of this kind."""
    spec = pool.spec(model="moody", key_field="id", records_per_task=RECORDS, max_batch_size=4)
    retry = RetryPolicy(backoff=AT_ONCE, rules=list(rules), **policy)
    job_budget = FailureBudget(max_failed_records=budget)
    return pool.submit(
        spec.model_copy(update={"retry": retry, "budget": job_budget, "request_timeout_seconds": timeout_seconds}),
        records(kind),
    )


def only_failure(job: Job) -> tuple[str, str, int]:
    """Answer code, message and tries of the bad record, which must be the only one that failed."""
    job.wait_until_finalized()
    assert (RECORDS, RECORDS - 1, 1) == job.counts
    assert {str(i) for i in range(RECORDS) if i != BAD} == job.results.keys()
    error = job.errors[str(BAD)]["error"]
    return error["code"], error["message"], error["attempts"]


def test_a_record_on_which_the_model_fails_is_tried_again_as_often_as_the_job_says(pool: Platform) -> None:
    job = submit(pool, TORN, rule(RetryAction.RETRY, "INTERNAL"), max_retries_per_record=2)
    assert ("InferenceFailed", "the scan is torn", 3) == only_failure(job)


def test_a_record_that_the_model_refuses_is_not_tried_again(pool: Platform) -> None:
    assert ("RejectedByModel", "the scan is empty", 1) == only_failure(submit(pool, EMPTY))


def test_a_rule_has_a_refused_record_tried_again_all_the_same(pool: Platform) -> None:
    job = submit(pool, EMPTY, rule(RetryAction.RETRY, "INVALID_ARGUMENT"), max_retries_per_record=1)
    assert ("RejectedByModel", "the scan is empty", 2) == only_failure(job)


def test_a_rule_fails_a_record_at_its_first_try(pool: Platform) -> None:
    job = submit(pool, TORN, rule(RetryAction.FAIL_RECORD, words="torn"))
    assert ("InferenceFailed", "the scan is torn", 1) == only_failure(job)


def test_a_failure_that_a_rule_ignores_spends_nothing_of_the_budget(pool: Platform) -> None:
    job = submit(pool, TORN, rule(RetryAction.IGNORE, "INTERNAL"), budget=0)
    assert ("InferenceFailed", "the scan is torn", 1) == only_failure(job)
    assert 1 == job.number(Field.IGNORED)


def test_a_rule_stops_the_whole_job_and_says_why(pool: Platform) -> None:
    job = submit(pool, TORN, rule(RetryAction.FAIL_JOB, words="torn"))
    reason, message = job.wait_until_stopped()
    assert "RetriesExhausted" == reason
    assert "a rule of retryPolicy stops the job, because the model failed so: the scan is torn" == message
    assert {} == job.results


def test_the_first_rule_that_matches_counts(pool: Platform) -> None:
    rules = (
        rule(RetryAction.FAIL_JOB, "UNKNOWN"),
        rule(RetryAction.FAIL_JOB, "INTERNAL", words="empty"),
        rule(RetryAction.FAIL_RECORD, "INTERNAL", words="torn"),
        rule(RetryAction.FAIL_JOB),
    )
    assert ("InferenceFailed", "the scan is torn", 1) == only_failure(submit(pool, TORN, *rules))


def test_an_overloaded_model_costs_no_retry(pool: Platform) -> None:
    job = submit(pool, BUSY, max_retries_per_record=0)
    job.wait_until_finalized()
    assert (RECORDS, RECORDS, 0) == job.counts
    assert 0 == job.number(Field.RETRIED)


@pytest.mark.parametrize("rules", [(), (rule(RetryAction.FAIL_RECORD, "DEADLINE_EXCEEDED"),)])
def test_only_the_record_that_is_not_answered_in_time_fails_though_its_neighbours_had_to_wait_for_it(
    pool: Platform, rules: tuple[RetryRule, ...]
) -> None:
    job = submit(pool, SLOW, *rules, timeout_seconds=2, max_retries_per_record=0)
    said = 'model "moody" did not answer within requestTimeoutSeconds (2 s)'
    assert ("InferenceFailed", said, 1) == only_failure(job)


@pytest.mark.parametrize(("isolation", "failed"), [("Bisect", [5]), ("None", [4, 5, 6, 7])])
def test_the_neighbours_in_a_failed_batch_share_its_fate_only_where_the_job_says_so(
    pool: Platform, isolation: str, failed: list[int]
) -> None:
    job = submit(pool, TORN, max_retries_per_record=0, isolate_failures=isolation)
    job.wait_until_finalized()
    assert {str(i) for i in failed} == job.errors.keys()
