"""The sentence that goes with a decision: the numbers behind it, for whoever asks "why this many pods?"."""

from millrace_operator.api.worker_pool import PoolPolicy
from millrace_operator.model.decision import Reason
from millrace_operator.model.reading import QueueReading, Unknown


def count(number: int, noun: str) -> str:
    """Write a number with its noun: "1 replica", "1,204 replicas"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def sentence_for_reading(
    *, reason: Reason, policy: PoolPolicy, reading: QueueReading, was: int, demand: int, needed: int, replicas: int
) -> str:
    """Say why a readable queue leads to this many replicas."""
    work = _work(reading, policy.concurrency)
    idle = f"{policy.idle_seconds:g} s"
    match reason:
        case Reason.AT_MAXIMUM if demand > policy.max_replicas:
            why = f"{work}; {demand:,} would have work, maxReplicas is {policy.max_replicas:,}"
        case Reason.AT_MAXIMUM:
            why = f"{work}; maxReplicas is {policy.max_replicas:,}"
        case Reason.WAITING_FOR_IDLE:
            why = f"{work}; {needed:,} would do, and replicas go once fewer have been enough for {idle}"
        case Reason.IDLE_SCALE_DOWN if not replicas:
            why = f"no task has waited or run for {idle}"
        case Reason.IDLE_SCALE_DOWN:
            why = f"{work}; no more have been needed for {idle}"
        case Reason.AT_MINIMUM if policy.min_replicas:
            why = f"{work}; minReplicas is {policy.min_replicas:,}"
        case _:
            why = work
    return f"{count(replicas, 'replica')}: {why}.{_was(replicas, was)}"


def sentence_for_unknown(*, reason: Reason, unknown: Unknown, replicas: int, was: int, failures: int) -> str:
    """Say what holds while a queue cannot be read."""
    if reason is Reason.FALLBACK_REPLICAS:
        why = f"{unknown.message}, {count(failures, 'time')} in a row; spec.fallback holds until it can be read"
    else:
        why = f"{unknown.message}; what is unknown scales nothing down, so the pool is held until it can be read"
    return f"{count(replicas, 'replica')}: {why}.{_was(replicas, was)}"


def _work(reading: QueueReading, concurrency: int) -> str:
    if not reading.tasks:
        return "no task waits or runs"
    verb = "waits" if reading.ready == 1 else "wait"
    waiting = f"{count(reading.ready, 'task')} {verb}" if reading.ready else "no task waits"
    running = f"{reading.unacked:,} {'runs' if reading.unacked == 1 else 'run'}"
    return f"{waiting} and {running}, {count(concurrency, 'slot')} a pod"


def _was(replicas: int, was: int) -> str:
    return "" if replicas == was else f" Was {was}."
