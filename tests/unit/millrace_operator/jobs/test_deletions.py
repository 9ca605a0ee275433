"""What becomes of the ledgers and the checkpoints of jobs that are gone, and of expired jobs."""

from job_loop import Rig
from operator_jobs import UID, job_body


def test_a_deleted_job_loses_its_ledger() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.cluster.jobs.clear()
    rig.look()
    assert ({}, {}) == (rig.ledgers.readings, rig.ledgers.names)


def test_a_ledger_that_could_not_be_deleted_is_deleted_when_redis_is_back() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.cluster.jobs.clear()
    rig.ledgers.is_away = True
    rig.look()
    rig.ledgers.is_away = False
    rig.look()
    assert {} == rig.ledgers.readings


def test_a_job_that_is_deleted_while_it_is_looked_at_gets_no_new_ledger() -> None:
    rig = Rig(job_body(), job_body(name="second", uid="second"))
    rig.cluster.on_publish = lambda: rig.cluster.jobs.pop("second", None) and None
    rig.look()
    assert {UID} == set(rig.ledgers.readings)


def test_a_ledger_that_was_orphaned_while_nobody_watched_is_swept() -> None:
    rig = Rig()
    rig.ledgers.names = {"gone": ("millrace", "gone"), "foreign": ("elsewhere", "job")}
    rig.look()
    assert {"foreign": ("elsewhere", "job")} == rig.ledgers.names


def test_nothing_is_swept_while_the_api_cannot_confirm_it() -> None:
    rig = Rig()
    rig.cluster.api_is_away = True
    rig.ledgers.names = {"gone": ("millrace", "gone")}
    rig.look()
    assert {"gone": ("millrace", "gone")} == rig.ledgers.names


def test_the_ledger_of_a_namesake_that_is_gone_is_swept() -> None:
    rig = Rig(job_body(name="digits", uid="new"))
    rig.ledgers.names = {"old": ("millrace", "digits")}
    rig.look()
    assert {"new"} == set(rig.ledgers.names)


def test_an_expired_job_is_deleted() -> None:
    rig = Rig(job_body(ttlSecondsAfterFinished=0))
    rig.look()
    rig.set(state="finalized", total=1, succeeded=1, finalized_at=1.0)
    rig.look(2)
    assert [UID] == rig.cluster.deleted


def test_the_checkpoints_of_a_deleted_job_are_removed_once_the_broker_takes_word_of_it() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", total=10, shards_total=10, output_uri="pvc://data/out")
    rig.cluster.jobs.clear()
    rig.cluster.broker_is_away = True
    rig.look()
    assert ({}, []) == (rig.ledgers.readings, rig.cluster.tidied)
    rig.cluster.broker_is_away = False
    rig.look(2)
    assert ["pvc://data/out"] == rig.cluster.tidied


def test_the_checkpoints_of_a_job_that_failed_are_removed_at_its_end() -> None:
    rig = Rig(job_body())
    rig.look()
    rig.set(state="dispatched", output_uri="s3://b/out", stop_reason="OutputWriteFailed", stop_message="no")
    rig.look(3)
    assert ("Failed", ["s3://b/out"]) == (rig.status["state"], rig.cluster.tidied)


def test_a_job_that_is_done_or_whose_results_are_no_files_has_nothing_to_be_removed() -> None:
    for ended in (
        {"state": "finalized", "output_uri": "pvc://data/out"},
        {"stop_reason": "X", "output_uri": "redis:x"},
    ):
        rig = Rig(job_body())
        rig.look()
        rig.set(total=1, finalized_at=1.0, **ended)
        rig.look(2)
        rig.cluster.jobs.clear()
        rig.look()
        assert [] == rig.cluster.tidied
