# ruff: noqa: D102 - the fake has the methods of the port, which are documented there

from collections.abc import Mapping

from operator_jobs import UID, job, job_body, running

from millrace_contracts.errors import RecordError
from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.jobs.readings import FailedRecords, LedgerMissing, LedgerUnknown
from millrace_operator.jobs.roster import Roster
from millrace_operator.jobs.tally import Tally


class Counted:
    """Adds up what a tally reports."""

    def __init__(self) -> None:
        self.records: dict[str, int] = {}
        self.failures: dict[str, int] = {}
        self.states: dict[tuple[str, str], int] = {}

    def that_were_done(self) -> dict[str, int]:
        return {outcome: self.records[outcome] for outcome in ("succeeded", "failed")}

    def that_failed(self) -> dict[str, int]:
        return {code: count for code, count in self.failures.items() if count}

    def set_jobs_by_state(self, counts: Mapping[tuple[str, str], int]) -> None:
        self.states = dict(counts)

    def add_records(self, *, namespace: str, model: str, outcome: str, count: int) -> None:
        assert ("millrace", "digits") == (namespace, model)
        self.records[outcome] = self.records.get(outcome, 0) + count

    def add_failures(self, *, namespace: str, model: str, code: str, count: int) -> None:
        assert ("millrace", "digits") == (namespace, model)
        self.failures[code] = self.failures.get(code, 0) + count


def reported(succeeded: int) -> PredictionJob:
    return job(status={"records": {"succeeded": succeeded, "failed": 0}})


def test_only_what_is_new_since_the_last_look_is_counted() -> None:
    counted = Counted()
    tally = Tally(counted)
    for succeeded, failed in [(0, 0), (10, 1), (10, 1), (25, 3)]:
        tally.count_records(job(), running(succeeded=succeeded, failed=failed))
    assert {"succeeded": 25, "failed": 3} == counted.that_were_done()


def test_an_operator_that_restarts_does_not_count_what_was_reported_before() -> None:
    counted = Counted()
    Tally(counted).count_records(reported(100), running(succeeded=130))
    assert {"succeeded": 30, "failed": 0} == counted.that_were_done()


def test_a_ledger_that_cannot_be_read_counts_nothing() -> None:
    counted = Counted()
    tally = Tally(counted)
    tally.count_records(job(), running(succeeded=10))
    tally.count_records(job(), LedgerUnknown("away"))
    tally.count_records(job(), LedgerMissing())
    tally.count_records(job(), running(succeeded=10))
    assert {"succeeded": 10, "failed": 0} == counted.that_were_done()


def test_records_that_run_again_after_a_lost_ledger_count_again_and_never_down() -> None:
    counted = Counted()
    tally = Tally(counted)
    for succeeded in (50, 0, 20):
        tally.count_records(job(), running(succeeded=succeeded))
    assert {"succeeded": 70, "failed": 0} == counted.that_were_done()


def failed(**counts: int) -> tuple[FailedRecords, ...]:
    return tuple(FailedRecords(code=code, message="", count=count, sample_key="") for code, count in counts.items())


def test_failures_are_counted_by_code_and_only_once() -> None:
    counted = Counted()
    tally = Tally(counted)
    for failures in (
        failed(MalformedJSON=1),
        failed(MalformedJSON=3, PoisonMessage=2),
        failed(MalformedJSON=3, PoisonMessage=2),
    ):
        tally.count_records(job(), running(failures=failures))
    assert {"MalformedJSON": 3, "PoisonMessage": 2} == counted.that_failed()


def test_failures_that_were_reported_before_a_restart_do_not_count_again() -> None:
    counted = Counted()
    before = job(status={"failures": [{"code": "PoisonMessage", "count": 2, "message": "", "sampleKey": ""}]})
    Tally(counted).count_records(before, running(failures=failed(PoisonMessage=5)))
    assert {"PoisonMessage": 3} == counted.that_failed()


def test_every_outcome_and_code_begins_at_zero_when_a_job_is_met() -> None:
    # Prometheus sees no increase of a series that begins with its first count.
    counted = Counted()
    Tally(counted).count_records(job(), running(succeeded=0))
    assert {"succeeded": 0, "failed": 0} == counted.that_were_done()
    assert dict.fromkeys(map(str, RecordError), 0) == counted.failures


def test_records_that_came_back_from_the_dead_letter_queue_count_where_they_went() -> None:
    counted = Counted()
    tally = Tally(counted)
    poison = failed(PoisonMessage=2)
    tally.count_records(job(), running(succeeded=5, failed=3, dead_lettered=2, failures=poison))
    tally.count_records(job(), running(succeeded=7, failed=1, dead_lettered=0, failures=failed(PoisonMessage=0)))
    assert {"succeeded": 7, "failed": 3, "cached": 0, "dead-lettered": 2} == counted.records
    assert {"PoisonMessage": 2} == counted.that_failed()


def test_jobs_are_shown_by_state_and_new_ones_are_pending() -> None:
    counted = Counted()
    roster = Roster()
    running_job = {"state": "Running"}
    roster.take([job_body(), job_body(uid="b", status=running_job), job_body(uid="c", status=running_job)])
    Tally(counted).count_jobs(roster.states)
    assert {("millrace", "Pending"): 1, ("millrace", "Running"): 2} == counted.states


def test_a_job_that_is_gone_is_forgotten() -> None:
    tally = Tally(Counted())
    tally.count_records(job(), running())
    tally.forget_all_but(set())
    # Memory that grows for ever has no other symptom.
    assert UID not in tally._counted  # noqa: SLF001 - what is forgotten shows nowhere else
    assert UID not in tally._failures  # noqa: SLF001 - what is forgotten shows nowhere else
