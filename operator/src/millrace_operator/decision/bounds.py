"""The limits that the user set."""

from millrace_operator.api.worker_pool import PoolPolicy


def within_bounds(wanted: int, policy: PoolPolicy) -> int:
    """Clamp a number of replicas to minReplicas and maxReplicas."""
    return max(policy.min_replicas, min(wanted, policy.max_replicas))
