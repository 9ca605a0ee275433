from operator_jobs import NOW, UID, finalized, job, running, submitted, view

from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.readings import FailedRecords
from millrace_operator.jobs.status import says_something_new

CLAIM = {"claimName": "digits", "path": "out"}


def test_a_count_alone_is_not_worth_a_write_at_once_and_a_reason_is() -> None:
    before = advance(view(job(), running()), now=NOW).status
    counted = advance(view(job(status=dict(before)), running(succeeded=201)), now=NOW + 1).status
    waiting = advance(view(job(status=dict(before)), running(waiting_for="Triton is away")), now=NOW + 1).status
    assert not says_something_new(before, counted)
    assert says_something_new(before, waiting)


def test_results_in_redis_and_their_errors_have_each_their_address() -> None:
    output = advance(view(job(), running()), now=NOW).status["output"]
    base = f"redis://redis:6379/0/millrace:{{{UID}}}"
    assert {"uri": f"{base}:results", "errorsURI": f"{base}:errors"} == output


def test_results_on_a_claim_have_their_errors_and_manifest_beside_them() -> None:
    ledger = finalized(output_uri="pvc://digits/out", manifest_uri="pvc://digits/out/manifest.json")
    assert {
        "uri": "pvc://digits/out",
        "errorsURI": "pvc://digits/out/errors",
        "manifestURI": "pvc://digits/out/manifest.json",
    } == advance(view(job(output={"persistentVolumeClaim": CLAIM}), ledger), now=NOW).status["output"]


def test_results_in_redis_tell_when_they_are_gone() -> None:
    output = advance(view(job(output={"redis": {"ttlSeconds": 60}}), finalized(finalized_at=NOW)), now=NOW).status[
        "output"
    ]
    assert "2027-01-15T08:01:00Z" == output["expirationTime"]


def test_results_in_kafka_have_their_errors_in_a_topic() -> None:
    ledger = running(output_uri="kafka:scores")
    one = job(output={"kafka": {"topic": "scores", "errorsTopic": "bad"}})
    assert {"uri": "kafka:scores", "errorsURI": "kafka:bad"} == advance(view(one, ledger), now=NOW).status["output"]


def test_the_status_stays_small_whatever_fails() -> None:
    failures = tuple(FailedRecords(code=f"C{i}", message="m" * 9999, count=9, sample_key="k" * 9999) for i in range(50))
    status = advance(view(job(), running(failures=failures)), now=NOW).status
    assert (20, 256, 253) == (
        len(status["failures"]),
        max(len(failure["message"]) for failure in status["failures"]),
        max(len(failure["sampleKey"]) for failure in status["failures"]),
    )


def test_times_are_told_as_they_come_and_the_first_ones_stay() -> None:
    queued = dict(advance(view(job(), submitted(plan_published_at=NOW - 9, plan_publications=1)), now=NOW).status)
    assert {"startTime": "2027-01-15T07:59:50Z", "queueTime": "2027-01-15T07:59:51Z"} == {
        name: value for name, value in queued.items() if name.endswith("Time")
    }
    again = submitted(submitted_at=NOW + 99, plan_published_at=NOW + 99, plan_publications=2)
    later = advance(view(job(status=queued), again), now=NOW + 100).status
    assert (queued["startTime"], queued["queueTime"]) == (later["startTime"], later["queueTime"])


def test_the_version_that_triton_chose_is_shown_where_the_user_left_it_open() -> None:
    assert {"name": "digits", "version": "4"} == advance(view(job(), running(model_version="4")), now=NOW).status[
        "model"
    ]


def test_the_estimate_disappears_at_the_end() -> None:
    before = dict(advance(view(job(), running()), now=NOW).status)
    after = advance(view(job(status=before), finalized()), now=NOW + 1).status
    assert ("eta" in before, "eta" in after) == (True, False)
    assert ("estimatedCompletionTime" in before, "estimatedCompletionTime" in after) == (True, False)
