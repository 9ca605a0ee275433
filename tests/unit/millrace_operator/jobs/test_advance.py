"""What is done about a job in each situation, and what its status says."""

from typing import Any

import pytest
from operator_jobs import NOW, POOL, UID, finalized, job, job_body, message, running, submitted, verdict, view

from millrace_contracts.errors import JobFailure
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.readings import FailedRecords, Ledger, LedgerMissing, LedgerReading, LedgerUnknown, PoolView
from millrace_operator.jobs.steps import DeleteObject, PublishPlan, Stop, Submit

UNREACHABLE = LedgerUnknown("Redis, which holds the job ledger, does not answer (Connection refused)")
QUEUED: dict[str, Any] = {"state": "Queued", "startTime": "2027-01-15T08:00:00Z"}


def test_a_new_job_gets_its_ledger_before_its_plan_is_published() -> None:
    actions = advance(view(job(), LedgerMissing()), now=NOW).actions
    assert [Submit, PublishPlan] == [type(action) for action in actions]
    assert Submit(attempt=1) == actions[0]


def test_the_plan_names_the_queue_of_the_pool_that_was_found() -> None:
    plan = advance(view(job(), LedgerMissing(), pool=PoolView(name="digits", queue="q")), now=NOW).actions[1]
    assert isinstance(plan, PublishPlan)
    assert ("q", UID) == (plan.task.spec.queue, plan.task.spec.job.uid)


def test_a_job_whose_pool_does_not_exist_waits_and_names_the_pools_that_do() -> None:
    step = advance(view(job(), LedgerMissing(), pool=None, pool_names=("system", "gpu")), now=NOW)
    assert () == step.actions
    assert ("False", "WorkerPoolNotFound") == verdict(step.status, "Validated")
    assert ("Unknown", "WorkerPoolNotFound") == verdict(step.status, "Succeeded")
    assert "Pending" == step.status["state"]
    assert "'digits' in namespace millrace; existing WorkerPools: gpu, system." in message(step.status, "Validated")


def test_a_job_that_waited_for_its_pool_is_submitted_when_the_pool_appears() -> None:
    waiting = advance(view(job(), LedgerMissing(), pool=None), now=NOW).status
    step = advance(view(job(status=dict(waiting)), LedgerMissing()), now=NOW + 60)
    assert [Submit, PublishPlan] == [type(action) for action in step.actions]
    assert ("True", "Accepted") == verdict(step.status, "Validated")


def test_inline_input_above_the_limit_ends_the_job_with_its_size_the_limit_and_what_to_do() -> None:
    records = [{"text": "x" * 100_000}]
    step = advance(view(job(input={"inline": {"records": records}}), LedgerMissing()), now=NOW)
    assert () == step.actions
    assert ("False", "InputInvalid") == verdict(step.status, "Validated") == verdict(step.status, "Succeeded")
    assert "is 100,013 bytes of JSON and the limit is 65,536" in message(step.status, "Succeeded")
    assert "input.persistentVolumeClaim" in message(step.status, "Succeeded")
    assert ("Failed", 1) == (step.status["state"], step.status["records"]["pending"])
    assert "finishTime" in step.status


def test_an_invalid_spec_is_refused_even_while_redis_does_not_answer() -> None:
    both = {"inline": {"records": [{"a": 1}]}, "persistentVolumeClaim": {"claimName": "c", "path": "p"}}
    status = advance(view(job(input=both), UNREACHABLE), now=NOW).status
    assert ("False", "InputInvalid") == verdict(status, "Succeeded")


def test_a_new_job_waits_while_redis_does_not_answer() -> None:
    step = advance(view(job(), UNREACHABLE), now=NOW)
    assert () == step.actions
    assert ("Pending", ("Unknown", "LedgerUnreachable")) == (step.status["state"], verdict(step.status, "Succeeded"))
    assert "Connection refused" in message(step.status, "Succeeded")


def test_a_lost_ledger_is_made_again_from_the_start() -> None:
    actions = advance(view(job(status=QUEUED), LedgerMissing()), now=NOW).actions
    assert Submit(attempt=2) == actions[0]
    assert isinstance(actions[1], PublishPlan)


def test_an_unreadable_ledger_changes_nothing_but_the_reason() -> None:
    before = advance(view(job(), running()), now=NOW).status
    step = advance(view(job(status=dict(before)), UNREACHABLE), now=NOW + 1)
    assert () == step.actions
    assert ("True", "LedgerUnreachable") == verdict(step.status, "Running")
    assert before["records"] == step.status["records"]
    assert "Running" == step.status["state"]


@pytest.mark.parametrize(
    ("ledger", "state", "queued", "is_running"),
    [
        (submitted(plan_published_at=NOW - 5, plan_publications=1), "Queued", ("True", "WaitingForPlan"), "False"),
        (running(first_shard_at=None, shards_done=0, succeeded=0), "Queued", ("True", "WaitingForWorkers"), "False"),
        (running(), "Running", ("False", "Started"), "True"),
        (running(shards_done=3, succeeded=540, in_flight=0), "Finalizing", ("False", "Started"), "True"),
        (finalized(), "Succeeded", ("False", "Finished"), "False"),
        (finalized(succeeded=539, failed=1), "PartiallySucceeded", ("False", "Finished"), "False"),
        (finalized(succeeded=0, failed=540), "Failed", ("False", "Finished"), "False"),
        (running(stop_reason="ModelNotFound", stop_message="No."), "Failed", ("False", "Finished"), "False"),
    ],
    ids=lambda value: value.state if isinstance(value, LedgerReading) else str(value),
)
def test_the_state_follows_the_ledger(ledger: Ledger, state: str, queued: tuple[str, str], is_running: str) -> None:
    status = advance(view(job(), ledger), now=NOW).status
    assert (state, queued, is_running) == (
        status["state"],
        verdict(status, "Queued"),
        verdict(status, "Running")[0],
    )


@pytest.mark.parametrize(
    ("ledger", "succeeded"),
    [
        (running(), ("Unknown", "ShardsRunning")),
        (finalized(), ("True", "AllRecordsSucceeded")),
        (finalized(succeeded=1, failed=539), ("True", "CompletedWithFailures")),
        (finalized(succeeded=0, failed=540), ("False", "AllRecordsFailed")),
        (finalized(total=0, succeeded=0), ("False", "InputEmpty")),
        (running(stop_reason="InputNotFound"), ("False", "InputNotFound")),
    ],
)
def test_the_summary_says_how_the_job_ended(ledger: Ledger, succeeded: tuple[str, str]) -> None:
    assert succeeded == verdict(advance(view(job(), ledger), now=NOW).status, "Succeeded")


def test_failures_are_summed_up_in_the_message_with_an_example() -> None:
    failure = FailedRecords(code="MalformedJSON", message="Not a JSON object", count=1, sample_key="in.jsonl:7")
    status = advance(view(job(), finalized(succeeded=539, failed=1, failures=(failure,))), now=NOW).status
    expected = (
        "539 of 540 records succeeded and 1 failed; most often MalformedJSON (1), for example record in.jsonl:7: "
        "Not a JSON object."
    )
    assert expected == message(status, "Succeeded")
    assert [{"code": "MalformedJSON", "message": "Not a JSON object", "count": 1, "sampleKey": "in.jsonl:7"}] == status[
        "failures"
    ]


@pytest.mark.parametrize(
    ("ledger", "sentence"),
    [
        (finalized(), "All 540 records succeeded."),
        (finalized(total=1, succeeded=1), "The only record succeeded."),
        (finalized(total=1, succeeded=0, failed=1), "The only record failed."),
        (finalized(succeeded=0, failed=540), "All 540 records failed."),
    ],
)
def test_the_end_reads_as_a_sentence(ledger: Ledger, sentence: str) -> None:
    assert sentence == message(advance(view(job(), ledger), now=NOW).status, "Succeeded")


def test_an_unknown_model_makes_the_job_invalid_and_failed_in_the_workers_words() -> None:
    ledger = running(stop_reason="ModelNotFound", stop_message="triton has no model x", succeeded=0, shards_done=0)
    status = advance(view(job(), ledger), now=NOW).status
    assert ("False", "ModelNotFound") == verdict(status, "Validated") == verdict(status, "Succeeded")
    assert "Triton has no model x." == message(status, "Succeeded")


def test_an_unreachable_triton_is_the_reason_of_a_running_job() -> None:
    status = advance(view(job(), running(waiting_for="Triton at localhost:8001 is unreachable")), now=NOW).status
    assert ("True", "WaitingForTriton") == verdict(status, "Running")
    assert "Triton at localhost:8001 is unreachable. The job goes on by itself." == message(status, "Running")


def test_a_broker_that_took_no_plan_is_the_reason_of_a_queued_job() -> None:
    status = advance(view(job(), submitted(), publish_trouble="RabbitMQ did not confirm"), now=NOW).status
    assert ("True", "BrokerUnreachable") == verdict(status, "Queued")


def test_a_broker_that_the_pool_cannot_read_is_the_reason_of_a_running_job() -> None:
    blind = PoolView(name="digits", queue="digits", broker_trouble="RabbitMQ does not answer")
    status = advance(view(job(), running(), pool=blind), now=NOW).status
    assert ("True", "BrokerUnreachable") == verdict(status, "Running")
    assert message(status, "Running").startswith("RabbitMQ does not answer. ")


def test_a_job_past_its_deadline_is_stopped_with_what_was_done() -> None:
    step = advance(view(job(activeDeadlineSeconds=30), running()), now=NOW)
    assert isinstance(step.actions[0], Stop)
    assert JobFailure.DEADLINE_EXCEEDED == step.actions[0].reason
    assert step.actions[0].message.startswith(
        "The job took longer than activeDeadlineSeconds (30 s); 200 of 540 records were done."
    )


def test_a_job_within_its_deadline_goes_on() -> None:
    assert () == advance(view(job(activeDeadlineSeconds=31), running()), now=NOW).actions


def test_the_deadline_counts_from_the_first_submission_also_after_a_lost_ledger() -> None:
    status = {"state": "Queued", "startTime": "2027-01-15T07:59:00Z"}  # 60 s before NOW
    again = submitted(submitted_at=NOW, plan_published_at=NOW, plan_publications=1)
    actions = advance(view(job(status=status, activeDeadlineSeconds=60), again), now=NOW).actions
    assert [Stop] == [type(action) for action in actions]


def test_a_stopped_job_holds_nothing_in_flight_and_its_other_records_stay_pending() -> None:
    ledger = running(stop_reason="DeadlineExceeded", stop_message="Too long.")
    status = advance(view(job(), ledger), now=NOW).status
    expected = {
        "total": 540,
        "succeeded": 200,
        "failed": 0,
        "pending": 340,
        "inFlight": 0,
        "retried": 0,
        "cached": 0,
        "ignored": 0,
    }
    assert expected == status["records"]
    assert ("False", "PartialResults") == verdict(status, "ResultsAvailable")
    assert "finishTime" in status


@pytest.mark.parametrize(
    ("publications", "waited_seconds", "is_due"),
    [(1, 29.0, False), (1, 30.0, True), (2, 59.0, False), (2, 60.0, True), (9, 599.0, False), (50, 600.0, True)],
)
def test_a_plan_that_nobody_began_is_published_again_after_a_wait_that_doubles_up_to_ten_minutes(
    publications: int, waited_seconds: float, *, is_due: bool
) -> None:
    ledger = submitted(plan_published_at=NOW - waited_seconds, plan_publications=publications)
    actions = advance(view(job(), ledger), now=NOW).actions
    assert is_due == (len(actions) == 1 and isinstance(actions[0], PublishPlan))


def test_a_plan_that_was_never_published_is_published_at_once() -> None:
    actions = advance(view(job(), submitted()), now=NOW).actions
    assert [PublishPlan] == [type(action) for action in actions]


@pytest.mark.parametrize(("stalled_seconds", "is_due"), [(299.0, False), (300.0, True)])
def test_a_plan_that_began_and_got_stuck_is_published_again_later(stalled_seconds: float, *, is_due: bool) -> None:
    ledger = running(
        state="dispatching",
        plan_published_at=NOW - 1000,
        plan_publications=1,
        last_progress_at=NOW - stalled_seconds,
    )
    assert is_due == bool(advance(view(job(), ledger), now=NOW).actions)


def test_a_job_that_is_being_deleted_is_stopped_and_never_submitted() -> None:
    body = job_body()
    body["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    leaving = PredictionJob.from_body(body)
    assert () == advance(view(leaving, LedgerMissing()), now=NOW).actions
    stop = advance(view(leaving, running()), now=NOW).actions[0]
    assert isinstance(stop, Stop)
    assert JobFailure.CANCELLED == stop.reason


@pytest.mark.parametrize(("age_seconds", "is_deleted"), [(59.0, False), (60.0, True)])
def test_a_finished_job_is_deleted_after_its_time_to_live(age_seconds: float, *, is_deleted: bool) -> None:
    done = dict(advance(view(job(), finalized(finalized_at=NOW)), now=NOW).status)
    expiring = job(status=done, ttlSecondsAfterFinished=60)
    actions = advance(view(expiring, LedgerMissing()), now=NOW + age_seconds).actions
    assert is_deleted == (actions == (DeleteObject(),))


def test_a_finished_job_without_a_time_to_live_stays() -> None:
    done = dict(advance(view(job(), finalized()), now=NOW).status)
    assert () == advance(view(job(status=done), LedgerMissing()), now=NOW + 10**9).actions


def test_a_pool_that_went_away_after_submission_does_not_unsay_that_the_job_was_valid() -> None:
    before = advance(view(job(), running()), now=NOW).status
    after = advance(view(job(status=dict(before)), running(), pool=None), now=NOW + 1).status
    assert ("True", "Accepted") == verdict(after, "Validated")
    assert POOL.queue == after["queueName"]
