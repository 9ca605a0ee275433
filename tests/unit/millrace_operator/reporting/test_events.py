"""What is told once, and what is told again."""

from loop_cluster import LoopCluster, queue, worker_pool

from millrace_operator.model.inference import InferenceLoad
from millrace_operator.model.reading import Blindness, Unknown


def test_a_limit_that_comes_and_goes_is_told_once_in_a_while() -> None:
    saturated = InferenceLoad(requests_per_second=100, queue_seconds=2, compute_seconds=1)
    cluster = LoopCluster(pools=[worker_pool(triton={"metricsPort": 8002})], replicas={"digits": 2})
    cluster.load = saturated
    for _ in range(5):
        cluster.run(digits=queue(ready=160))
        cluster.run(digits=Unknown(reason=Blindness.STALE, message="it is old"))
    assert 1 == cluster.events.count(("Warning", "InferenceSaturated"))

    cluster.run(after=400, digits=queue(ready=160))
    assert 2 == cluster.events.count(("Warning", "InferenceSaturated"))
