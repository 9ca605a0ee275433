from operator_jobs import pool_body

from millrace_operator.jobs.pools import index_pools
from millrace_operator.jobs.readings import PoolView


def test_pools_are_found_by_namespace_and_name() -> None:
    pools = index_pools([pool_body(queue="q", readyReplicas=2)])
    assert {"millrace": {"digits": PoolView(name="digits", queue="q", ready_replicas=2)}} == pools


def test_a_pool_that_cannot_read_its_queue_says_why() -> None:
    blind = {"type": "MetricsAvailable", "status": "False", "reason": "R", "message": "RabbitMQ does not answer"}
    assert (
        "RabbitMQ does not answer" == index_pools([pool_body(conditions=[blind])])["millrace"]["digits"].broker_trouble
    )


def test_a_pool_that_has_not_looked_yet_has_no_trouble() -> None:
    unknown = {"type": "MetricsAvailable", "status": "Unknown", "reason": "R", "message": "Not read yet"}
    assert not index_pools([pool_body(conditions=[unknown])])["millrace"]["digits"].broker_trouble


def test_a_pool_that_is_being_deleted_takes_no_jobs() -> None:
    leaving = pool_body()
    leaving["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    assert {} == index_pools([leaving])
