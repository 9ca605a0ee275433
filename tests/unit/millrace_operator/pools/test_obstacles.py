"""Pools that cannot be sized are found before anything is decided."""

from dataclasses import replace

from millrace_operator.api.worker_pool import BudgetReference, PoolPolicy, Source, SourceType, WorkerPool
from millrace_operator.model.obstacle import ObstacleReason
from millrace_operator.pools.obstacles import find_obstacles

WORKLOADS = {("ml", "digits"), ("ml", "faces"), ("web", "faces")}


def pool(
    name: str, *, namespace: str = "ml", created: str = "2026-01-01T00:00:00Z", deployment: str, queue: str
) -> WorkerPool:
    return WorkerPool(
        namespace=namespace,
        name=name,
        uid=f"uid-{namespace}-{name}",
        generation=1,
        created=created,
        queue=queue,
        deployment=deployment,
        policy=PoolPolicy(concurrency=1, min_replicas=0, max_replicas=1, idle_seconds=60),
        status={},
    )


def test_pools_with_a_deployment_and_a_queue_of_their_own_meet_no_obstacle() -> None:
    pools = [pool("a", deployment="digits", queue="digits"), pool("b", deployment="faces", queue="faces")]

    assert find_obstacles(pools, workloads=WORKLOADS) == {}


def test_a_missing_deployment_is_named_with_what_to_do() -> None:
    obstacle = find_obstacles([pool("a", deployment="nowhere", queue="q")], workloads=WORKLOADS)["ml", "a"]

    assert obstacle.reason == ObstacleReason.WORKLOAD_NOT_FOUND
    assert obstacle.message == (
        "There is no Deployment 'nowhere' in namespace 'ml'. Create it, or name another one in spec.workloadRef.name."
    )


def test_of_two_pools_with_one_deployment_the_older_one_is_sized() -> None:
    younger = pool("a", deployment="digits", queue="a", created="2026-02-01T00:00:00Z")
    older = pool("b", deployment="digits", queue="b", created="2026-01-01T00:00:00Z")

    obstacles = find_obstacles([younger, older], workloads=WORKLOADS)

    assert {("ml", "a"): ObstacleReason.WORKLOAD_SHARED} == {key: each.reason for key, each in obstacles.items()}


def test_queues_are_shared_across_namespaces() -> None:
    pools = [pool("a", deployment="faces", queue="q"), pool("b", namespace="web", deployment="faces", queue="q")]

    obstacles = find_obstacles(pools, workloads=WORKLOADS)

    assert {("web", "b"): ObstacleReason.QUEUE_SHARED} == {key: each.reason for key, each in obstacles.items()}
    assert "WorkerPool ml/a" in obstacles["web", "b"].message


def test_pools_of_one_age_are_told_apart_by_name() -> None:
    pools = [pool("b", deployment="digits", queue="b"), pool("a", deployment="digits", queue="a")]

    assert [("ml", "b")] == list(find_obstacles(pools, workloads=WORKLOADS))


def test_one_name_in_two_brokers_is_two_queues() -> None:
    redis = replace(pool("b", deployment="faces", queue="q"), source=Source(type=SourceType.REDIS))

    assert {} == find_obstacles([pool("a", deployment="digits", queue="q"), redis], workloads=WORKLOADS)


def test_a_missing_budget_is_named_with_what_to_do() -> None:
    plain = pool("a", deployment="digits", queue="q")
    drawing = replace(plain, policy=replace(plain.policy, budget=BudgetReference(name="gpus")))

    obstacle = find_obstacles([drawing], workloads=WORKLOADS, budgets={("web", "gpus")})["ml", "a"]

    assert obstacle.reason == ObstacleReason.BUDGET_NOT_FOUND
    assert "There is no CapacityBudget 'gpus' in namespace 'ml'" in obstacle.message
    assert {} == find_obstacles([drawing], workloads=WORKLOADS, budgets={("ml", "gpus")})
