"""What the operator reads of a Deployment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A Deployment: what was asked of it, by whom, and what its controller says is there."""

    asked: int
    existing: int = 0
    ready: int = 0
    is_partly_updated: bool = False
    """Its controller counts pods of an older template."""
    replicas_manager: str = ""
    """Who wrote spec.replicas last, by the API server's managedFields; empty where it does not say."""

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> "Workload":
        """View a slimmed Deployment."""
        status = body.get("status") or {}
        existing = int(status.get("replicas") or 0)
        return cls(
            asked=int((body.get("spec") or {}).get("replicas", 1)),
            existing=existing,
            ready=int(status.get("readyReplicas") or 0),
            is_partly_updated=int(status.get("updatedReplicas", existing) or 0) < existing,
            replicas_manager=body.get("replicasManager", ""),
        )
