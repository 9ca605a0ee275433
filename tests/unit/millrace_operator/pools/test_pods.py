"""From raw pods to the state of a pool."""

from typing import Any

import pytest
from loop_cluster import START, raw_pod, worker_in

from millrace_operator.model.pool_state import Pod
from millrace_operator.pools.pods import pod_of, state_of, workers_by_pod
from millrace_operator.pools.workload import Workload

UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
DRAINS = {"millrace.dev/draining-since": "2026-01-01T00:00:00Z"}


def state(*bodies: Any, heard: tuple[Any, ...] = (), partly_updated: bool = False) -> Any:
    pods = tuple(found[1] for found in map(pod_of, bodies) if found is not None)
    workload = Workload(asked=3, existing=9, ready=9, is_partly_updated=partly_updated)
    return state_of(workload, pods, workers_by_pod({each.node: each for each in heard}), asked=3)


def the_pod(body: Any) -> Pod:
    found = pod_of(body)
    assert found is not None
    return found[1]


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason}}}


def test_a_pod_belongs_to_the_deployment_that_its_replica_set_is_named_after() -> None:
    found = pod_of(raw_pod("digits-large-5c7-x", deployment="digits-large"))

    assert found is not None
    assert ("ml", "digits-large") == found[0]
    assert (found[1].created_at, found[1].ready_since, found[1].replica_set) == (START, START, "digits-large-5c7")


def test_pods_that_have_ended_are_none() -> None:
    evicted = raw_pod("a")
    evicted["status"]["phase"] = "Failed"

    assert pod_of(evicted) is None


def test_before_its_pods_are_seen_the_deployments_own_counts_hold() -> None:
    assert (9, 9) == (state().existing, state().ready)


def test_pods_are_ready_starting_draining_or_without_a_place() -> None:
    terminating = raw_pod("e")
    terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    one = state(
        raw_pod("a"),
        raw_pod("b", ready=False, at=START + 5),
        raw_pod("c", annotations=DRAINS),
        raw_pod("d", ready=False, conditions=[UNSCHEDULABLE]),
        terminating,
    )

    assert (4, 1, 1, 1) == (one.existing, one.ready, one.draining, one.unschedulable)
    assert (START + 5,) == one.starting_since
    assert one.unschedulable_message == "no node"


@pytest.mark.parametrize(
    ("containers", "before"),
    [
        (("ImagePullBackOff",), ()),
        (("CreateContainerConfigError",), ()),
        (("CrashLoopBackOff",), ()),
        (("PodInitializing",), ("ErrImagePull",)),
    ],
)
def test_a_pod_is_stuck_whose_container_cannot_start(containers: tuple[str, ...], before: tuple[str, ...]) -> None:
    body = raw_pod("a", ready=False)
    body["status"] |= {"containerStatuses": [waiting(reason) for reason in containers]}
    body["status"] |= {"initContainerStatuses": [waiting(reason) for reason in before]}

    assert the_pod(body).is_stuck


def test_a_pod_is_not_stuck_that_pulls_its_image_or_runs_a_container_beside_one_that_fails() -> None:
    pulls, runs = raw_pod("a", ready=False), raw_pod("b", ready=False)
    pulls["status"]["containerStatuses"] = [waiting("ContainerCreating")]
    runs["status"]["containerStatuses"] = [waiting("CrashLoopBackOff"), {"state": {"running": {}}}]

    assert not the_pod(pulls).is_stuck
    assert not the_pod(runs).is_stuck


def test_busy_are_the_pods_whose_workers_run_a_task() -> None:
    heard = (worker_in("a", active=1), worker_in("b"), worker_in("other", active=1))

    assert state(raw_pod("a"), raw_pod("b"), heard=heard).busy == 1


def test_where_no_worker_is_heard_nobody_knows_how_many_are_busy() -> None:
    assert state(raw_pod("a"), heard=(worker_in("other", active=1),)).busy is None


def test_a_worker_is_found_by_the_host_name_that_the_kubelet_cuts() -> None:
    name = "digits-" + "x" * 55 + "-5c7-abcde"

    assert state(raw_pod(name), heard=(worker_in(name[:62], active=1),)).busy == 1


def test_pods_of_two_templates_or_a_controller_that_counts_old_ones_mean_a_rollout() -> None:
    other = raw_pod("b")
    other["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": "digits-77d"}]
    other["metadata"]["labels"] = {"pod-template-hash": "77d"}

    assert [True, True, False] == [
        state(raw_pod("a"), other).is_rolling_out,
        state(raw_pod("a"), partly_updated=True).is_rolling_out,
        state(raw_pod("a")).is_rolling_out,
    ]


def test_annotations_that_somebody_spoilt_by_hand_stop_nothing() -> None:
    spoilt = {"millrace.dev/draining-since": "yes", "controller.kubernetes.io/pod-deletion-cost": "dear"}
    found = pod_of(raw_pod("a", annotations=spoilt))

    assert found is not None
    assert (0.0, 0) == (found[1].draining_since, found[1].deletion_cost)
