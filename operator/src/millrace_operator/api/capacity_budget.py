"""The typed view of a CapacityBudget: what several WorkerPools share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityBudget:
    """A number of replicas or GPUs, as the cluster holds it."""

    namespace: str
    name: str
    uid: str
    generation: int
    capacity: int
    unit: str
    """Replica or GPU: what is counted, for people."""
    status: Mapping[str, Any] = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.namespace, self.name)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "CapacityBudget":
        """View an object of the API as a budget."""
        metadata, spec = body["metadata"], body["spec"]
        return cls(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=int(metadata.get("generation", 0)),
            capacity=int(spec["capacity"]),
            unit=spec.get("unit", "Replica"),
            status=body.get("status") or {},
        )
