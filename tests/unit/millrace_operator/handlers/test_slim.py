"""What is kept of watched objects: enough to decide, and no more."""

from typing import Any

from millrace_operator.handlers.slim import slim_deployment, slim_pod
from millrace_operator.pools.pods import pod_of

IDENTITY = {"namespace": "ml", "name": "a", "uid": "a", "resourceVersion": "1"}


def wrote_replicas(manager: str, time: str) -> dict[str, Any]:
    return {"manager": manager, "time": time, "fieldsV1": {"f:spec": {"f:replicas": {}}}}


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
            "containerStatuses": ["many lines"],
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
