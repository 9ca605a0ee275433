import pytest
from operator_jobs import NOW, pool_body

from millrace_operator.api.timestamps import to_rfc3339
from millrace_operator.jobs.pools import index_pools
from millrace_operator.jobs.readings import PoolView


def trouble(reason: str, *, since: float, status: str = "False") -> str:
    condition = {"type": "MetricsAvailable", "status": status, "reason": reason, "message": "RabbitMQ does not answer"}
    body = pool_body(conditions=[condition | {"lastTransitionTime": to_rfc3339(since)}])
    return index_pools([body], namespaces={"millrace"}, now=NOW)["millrace"]["digits"].broker_trouble


def test_pools_are_found_by_namespace_and_name() -> None:
    pools = index_pools([pool_body(queue="q", readyReplicas=2)], namespaces={"millrace"}, now=NOW)
    assert {"millrace": {"digits": PoolView(name="digits", queue="q", ready_replicas=2)}} == pools


@pytest.mark.parametrize("reason", ["BrokerUnreachable", "QueueWithoutLeader"])
def test_a_pool_whose_broker_is_away_says_why(reason: str) -> None:
    assert "RabbitMQ does not answer" == trouble(reason, since=NOW - 5)


def test_one_late_reading_is_no_trouble() -> None:
    assert "" == trouble("BrokerUnreachable", since=NOW - 4)


@pytest.mark.parametrize("reason", ["QueueNotFound", "NotYetRead"])
def test_a_queue_that_is_new_is_no_trouble(reason: str) -> None:
    assert "" == trouble(reason, since=NOW - 60)


def test_a_pool_that_reads_its_queue_has_no_trouble() -> None:
    assert "" == trouble("QueueRead", since=NOW - 60, status="True")


def test_a_pool_that_is_being_deleted_takes_no_jobs() -> None:
    leaving = pool_body()
    leaving["metadata"]["deletionTimestamp"] = "2027-01-15T08:00:00Z"
    assert {} == index_pools([leaving], namespaces={"millrace"}, now=NOW)


def test_pools_of_namespaces_without_a_job_are_not_looked_at() -> None:
    assert {} == index_pools([pool_body()], namespaces={"elsewhere"}, now=NOW)
