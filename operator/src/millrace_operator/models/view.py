"""What the registry says, as objects of Kubernetes, and what must be done so that the cluster shows it. Pure."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from millrace_contracts.models import ModelVersion, VersionState
from millrace_contracts.resources import GROUP, VERSION
from millrace_operator.api.conditions import MESSAGE_LIMIT, Condition, merge_conditions, shorten
from millrace_operator.api.timestamps import to_rfc3339

MOST_OBJECTS: Final = 500
"""Of all models together: the newest are shown."""
MOST_METRICS: Final = 64
_NAME_LENGTH: Final = 200
_SUMMARY_LIMIT: Final = 256
_WARNINGS: Final = frozenset({VersionState.REFUSED, VersionState.ROLLED_BACK, VersionState.FAILED})

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Show:
    """Write the status of a version; `body` is its object, without a uid if there is none yet."""

    body: dict[str, Any]
    status: dict[str, Any]
    event: Literal["Normal", "Warning"] | None
    """The kind of Event to record; None where the state is no news."""

    @property
    def is_new(self) -> bool:
        """Whether the object must be created first."""
        return "uid" not in self.body["metadata"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Delete the object of a version that the registry has forgotten."""

    name: str
    uid: str


def steps(versions: Iterable[ModelVersion], objects: Iterable[Body], *, now: float) -> list[Show | Remove]:
    """List what must be done so that the objects say what the registry says."""
    newest = sorted(versions, key=lambda version: version.changed_at)[-MOST_OBJECTS:]
    wanted = {object_name(version): version for version in newest}
    known = {str(body["metadata"]["name"]): body for body in objects}
    removals: list[Show | Remove] = [
        Remove(name=name, uid=body["metadata"]["uid"]) for name, body in known.items() if name not in wanted
    ]
    shows = (_show(name, version, known.get(name), now=now) for name, version in wanted.items())
    return removals + [show for show in shows if show is not None]


def object_name(version: ModelVersion) -> str:
    """Name the object "<model>-<version>", with a suffix where Kubernetes does not allow just that."""
    plain = f"{version.model}-{version.version}"
    name = re.sub(r"[^a-z0-9-]+", "-", plain.lower()).strip("-")[:_NAME_LENGTH].rstrip("-")
    return name if name == plain else f"{name}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def _show(name: str, version: ModelVersion, body: Body | None, *, now: float) -> Show | None:
    before: Mapping[str, Any] = (body or {}).get("status") or {}
    status = _status(version, before, now=now)
    if status == before:
        return None
    is_news = before.get("state") != version.state.value
    kind: Literal["Normal", "Warning"] = "Warning" if version.state in _WARNINGS else "Normal"
    return Show(
        body=dict(body) if body is not None else _body(name, version), status=status, event=kind if is_news else None
    )


def _body(name: str, version: ModelVersion) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ModelVersion",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "millrace-operator"}},
        "spec": {
            "model": version.model,
            "version": version.version,
            "pipeline": version.pipeline,
            "runID": version.run_id,
        },
    }


def _status(version: ModelVersion, before: Mapping[str, Any], *, now: float) -> dict[str, Any]:
    message = shorten(version.message, MESSAGE_LIMIT)
    serving = Condition(
        type="Serving",
        status="True" if version.state is VersionState.SERVING else "False",
        reason=version.state.value,
        message=message,
    )
    status = {
        "state": version.state.value,
        "message": message,
        "summary": _summary(version),
        "metrics": _metrics(version),
        "creationTime": to_rfc3339(version.created_at),
        "changeTime": to_rfc3339(version.changed_at),
        "conditions": merge_conditions(before.get("conditions") or (), [serving], generation=1, now=now),
    }
    return {name: value for name, value in status.items() if value}


def _summary(version: ModelVersion) -> str:
    if version.metric not in version.metrics:
        return ""
    served = version.baseline.get(version.metric)
    compared = "" if served is None else f" ({served:.4g})"
    return shorten(f"{version.metric} {version.metrics[version.metric]:.4g}{compared}", _SUMMARY_LIMIT)


def _metrics(version: ModelVersion) -> list[dict[str, Any]]:
    names = sorted({*version.metrics, *version.baseline})[:MOST_METRICS]
    return [
        {"name": name, **_known("value", version.metrics.get(name)), **_known("serving", version.baseline.get(name))}
        for name in names
    ]


def _known(name: str, value: float | None) -> dict[str, float]:
    return {} if value is None else {name: value}
