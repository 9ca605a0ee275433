"""What gateways are told of a queue's wait."""

from loop_cluster import LoopCluster, queue, worker_pool

from millrace_contracts.pool_waits import PoolWait
from millrace_operator.model.reading import Blindness, Unknown
from millrace_operator.reporting.pool_waits import wait_of


def told(cluster: LoopCluster) -> PoolWait:
    (report,) = cluster.reports
    return wait_of(report, now=cluster.seconds)


def test_the_wait_of_a_pool_is_told_in_each_pass_with_its_objective() -> None:
    cluster = LoopCluster(pools=[worker_pool(objective={"waitSeconds": 12, "percentile": 95})])
    cluster.run(digits=queue())
    first = told(cluster)
    cluster.run(digits=queue())
    assert (12, "digits") == (first.objective_seconds, first.pool)
    assert 0 == first.wait_seconds
    assert (first.read_at, first.read_at + 1) == (cluster.seconds - 1, told(cluster).read_at)


def test_the_wait_of_a_queue_that_cannot_be_read_is_not_known() -> None:
    cluster = LoopCluster()
    cluster.run(digits=queue(ready=3))
    cluster.run(digits=Unknown(reason=Blindness.BROKER_UNREACHABLE, message="it is away"))
    assert told(cluster).wait_seconds is None
