from typing import Any

from operator_jobs import NOW, finalized, job, running, submitted, view

from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.announcements import announce
from millrace_operator.jobs.readings import Ledger, LedgerMissing


def events(*life: Ledger, **spec: Any) -> list[tuple[str, str, str]]:
    """Look at a job several times and list what is announced."""
    status: dict[str, Any] = {}
    announced = []
    for second, ledger in enumerate(life):
        after = dict(advance(view(job(status=status, **spec), ledger), now=NOW + second).status)
        announced += [(event.type, event.reason, event.message) for event in announce(status, after)]
        status = after
    return announced


def test_a_good_life_is_three_events() -> None:
    assert [
        ("Normal", "Submitted", "Submitted to queue digits of WorkerPool digits."),
        ("Normal", "Started", "Workers began: 540 records in 3 tasks."),
        ("Normal", "AllRecordsSucceeded", "All 540 records succeeded."),
    ] == events(LedgerMissing(), submitted(), running(), running(succeeded=300), finalized(), finalized())


def test_a_job_with_failed_records_ends_with_a_warning() -> None:
    last = events(submitted(), finalized(succeeded=539, failed=1))[-1]
    assert ("Warning", "CompletedWithFailures") == last[:2]


def test_a_wait_for_triton_is_announced_once_each_time_it_begins() -> None:
    away = running(waiting_for="Triton is away")
    warned = [reason for kind, reason, _ in events(running(), away, away, running(), away) if kind == "Warning"]
    assert ["WaitingForTriton", "WaitingForTriton"] == warned


def test_a_missing_pool_is_announced_once() -> None:
    first = dict(advance(view(job(), LedgerMissing(), pool=None), now=NOW).status)
    second = dict(advance(view(job(status=first), LedgerMissing(), pool=None), now=NOW + 1).status)
    assert ["WorkerPoolNotFound"] == [event.reason for event in announce({}, first)]
    assert () == announce(first, second)


def test_a_refused_job_is_announced_once_as_its_end() -> None:
    assert [("Warning", "InputInvalid")] == [event[:2] for event in events(LedgerMissing(), LedgerMissing(), input={})]


def test_a_fast_job_that_was_only_seen_at_its_end_is_told_in_order() -> None:
    assert ["Submitted", "AllRecordsSucceeded"] == [event[1] for event in events(LedgerMissing(), finalized())]
