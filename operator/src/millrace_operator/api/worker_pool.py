"""The typed view of a WorkerPool: what the object says, before anything is decided about it.

The API server has filled in the schema's defaults and refused what the schema can know to be wrong; the same defaults
stand here for objects from before a default existed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Mode(StrEnum):
    """What the operator may do with a pool."""

    AUTO = "Auto"
    ADVISORY = "Advisory"
    """Compute and report, write nothing."""
    PAUSED = "Paused"
    """Hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """What to do when the queue cannot be read for long."""

    failure_threshold: int
    """Unreadable in this many passes in a row."""
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPolicy:
    """What the user asks of a pool."""

    concurrency: int
    """Task slots of a pod."""
    min_replicas: int
    max_replicas: int
    idle_seconds: float
    """How long demand must stay lower before replicas go."""
    mode: Mode = Mode.AUTO
    fallback: Fallback | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """How a Deployment of workers is scaled, as the cluster holds it."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: str
    queue: str
    deployment: str
    policy: PoolPolicy
    status: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.namespace, self.name)

    @classmethod
    def from_body(cls, body: Mapping[str, Any], *, default_idle_seconds: float) -> "WorkerPool":
        """View an object of the API as a pool."""
        metadata, spec = body["metadata"], body["spec"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=int(metadata.get("generation", 0)),
            created=str(metadata.get("creationTimestamp", "")),
            queue=spec["queue"],
            deployment=spec["workloadRef"]["name"],
            policy=_policy(spec, default_idle_seconds),
            status=body.get("status") or {},
        )


def _policy(spec: Mapping[str, Any], default_idle_seconds: float) -> PoolPolicy:
    fallback = spec.get("fallback")
    return PoolPolicy(
        concurrency=int(spec.get("concurrency", 1)),
        min_replicas=int(spec.get("minReplicas", 0)),
        max_replicas=int(spec["maxReplicas"]),
        idle_seconds=float(spec.get("idleSeconds", default_idle_seconds)),
        mode=Mode(spec.get("mode", Mode.AUTO)),
        fallback=fallback
        and Fallback(failure_threshold=int(fallback.get("failureThreshold", 30)), replicas=int(fallback["replicas"])),
    )
