"""What is kept of watched objects: enough to decide, and no more."""

from typing import Any

from operator_jobs import POOL, job_body

from millrace_operator.api.prediction_job import PredictionJob
from millrace_operator.handlers.slim import slim_deployment, slim_pod, slim_prediction_job, without_managers
from millrace_operator.jobs.spec import build_plan
from millrace_operator.pools.pods import pod_of

IDENTITY = {"namespace": "ml", "name": "a", "uid": "a", "resourceVersion": "1"}


def wrote_replicas(manager: str, time: str) -> dict[str, Any]:
    return {"manager": manager, "time": time, "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def waits(reason: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": "many lines"}}


def a_pod(**metadata: Any) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "digits-5c7", "uid": "x", "controller": True}
    return {
        "metadata": IDENTITY
        | {
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"pod-template-hash": "5c7", "app": "digits"},
            "annotations": {"millrace.dev/draining-since": "2026-01-01T00:01:00Z", "note": "many lines"},
            "ownerReferences": [owner],
            "managedFields": ["many lines"],
        }
        | metadata,
        "spec": {"containers": ["many lines"]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:03Z"}],
            "containerStatuses": [{"state": waits("ImagePullBackOff"), "imageID": "many lines"}],
        },
    }


def test_a_deployment_is_kept_without_its_pod_template() -> None:
    deployment = {
        "metadata": IDENTITY | {"managedFields": [wrote_replicas("helm", "2026-01-01T00:00:00Z")]},
        "spec": {"replicas": 3, "template": {"spec": {"containers": ["many lines"]}}},
        "status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 3, "conditions": ["many lines"]},
    }

    assert {
        "metadata": IDENTITY,
        "spec": {"replicas": 3},
        "status": {"replicas": 3, "readyReplicas": 2, "updatedReplicas": 3},
        "replicasManager": "helm",
    } == slim_deployment(deployment)


def test_of_two_writers_of_replicas_the_newest_one_is_named() -> None:
    managers = [
        wrote_replicas("kubectl-scale", "2026-01-02T00:00:00Z"),
        wrote_replicas("helm", "2026-01-01T00:00:00Z"),
        {"manager": "labeller", "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:metadata": {}}},
    ]

    assert slim_deployment({"metadata": IDENTITY | {"managedFields": managers}})["replicasManager"] == "kubectl-scale"


def test_a_slim_pod_says_the_same_as_the_whole_one() -> None:
    whole = a_pod()
    slim = slim_pod(whole)

    assert slim is not None
    assert pod_of(whole) == pod_of(slim)
    assert "many lines" not in str(slim)


def test_pods_of_other_owners_are_dropped() -> None:
    job = {"kind": "Job", "name": "digits"}

    assert [None, None] == [slim_pod(a_pod(ownerReferences=[job])), slim_pod(a_pod(ownerReferences=[]))]


def a_prediction_job(*, succeeded: str = "Unknown") -> dict[str, Any]:
    body = job_body(input={"inline": {"records": [{"x": [1, "é"]}] * 3}}, ttlSecondsAfterFinished=60)
    body["metadata"] |= {"managedFields": ["many lines"], "annotations": {"last-applied": "many lines"}}
    conditions = [{"type": "Succeeded", "status": succeeded, "reason": "R", "message": "m"}, {"type": "Queued"}]
    return body | {"status": {"state": "S", "finishTime": "2027-01-15T08:00:00Z", "conditions": conditions}}


def test_an_active_job_keeps_its_spec_and_status_and_its_records_as_text() -> None:
    slim = slim_prediction_job(a_prediction_job())
    assert {"recordCount", "packedRecords"} == slim["spec"]["input"]["inline"].keys()
    assert a_prediction_job()["status"] == slim["status"]
    assert IDENTITY.keys() | {"generation"} == slim["metadata"].keys()


def test_the_plan_of_a_job_is_the_same_from_what_is_kept() -> None:
    whole, slim = a_prediction_job(), slim_prediction_job(a_prediction_job())
    assert build_plan(PredictionJob.from_body(whole), POOL) == build_plan(PredictionJob.from_body(slim), POOL)
    assert 3 == PredictionJob.from_body(slim).inline_count


def test_of_a_job_that_has_ended_only_what_its_deletion_needs_is_kept() -> None:
    slim = PredictionJob.from_body(slim_prediction_job(a_prediction_job(succeeded="True")))
    assert (True, 60, 1_800_000_000.0) == (slim.is_finished, slim.ttl_seconds_after_finished, slim.finished_at)
    assert 3600 == slim.results_ttl_seconds
    assert {"model", "workerPoolRef", "ttlSecondsAfterFinished", "output"} == slim.spec.keys()


def test_an_object_without_its_managers_is_otherwise_the_same() -> None:
    metadata = {"name": "digits", "uid": "uid", "resourceVersion": "7"}
    body = {
        "kind": "WorkerPool",
        "metadata": metadata | {"managedFields": [{"manager": "helm"}]},
        "spec": {"queue": "q"},
    }

    assert without_managers(body) == {"kind": "WorkerPool", "metadata": metadata, "spec": {"queue": "q"}}
    assert "managedFields" in body["metadata"], "a body that others hold is left as it is"
