"""Keep of a watched object what the operator reads: not the templates and histories of a whole cluster."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from millrace_contracts.resources import DRAINING_SINCE, POD_DELETION_COST

Body = dict[str, Any]

POD_TEMPLATE_HASH: Final = "pod-template-hash"
_IDENTITY: Final = ("namespace", "name", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp")
_POD_ANNOTATIONS: Final = (DRAINING_SINCE, POD_DELETION_COST)
_ENDED_STATUS: Final = ("state", "finishTime", "records", "output")
"""Of an ended job of which somebody may still be told."""
_POD_CONDITIONS: Final = ("Ready", "PodScheduled")


def without_managers(body: Body) -> Body:
    """Drop the list of who wrote which field: a third of an object that several write, and nobody reads it here."""
    return body | {"metadata": {key: value for key, value in body["metadata"].items() if key != "managedFields"}}


def slim_deployment(body: Body) -> Body:
    """Keep what was asked for, by whom, and what is there."""
    metadata, status = body["metadata"], body.get("status") or {}
    return {
        "metadata": _pick(metadata, _IDENTITY),
        "spec": {"replicas": (body.get("spec") or {}).get("replicas", 1)},
        "status": {key: status.get(key, 0) for key in ("replicas", "readyReplicas", "updatedReplicas")},
        "replicasManager": _replicas_manager(metadata.get("managedFields") or ()),
    }


def slim_pod(body: Body) -> Body | None:
    """Keep what tells whether a pod starts, works or goes; a pod that belongs to no ReplicaSet is dropped."""
    metadata, status = body["metadata"], body.get("status") or {}
    owner = next((each for each in metadata.get("ownerReferences") or () if each.get("kind") == "ReplicaSet"), None)
    template = (metadata.get("labels") or {}).get(POD_TEMPLATE_HASH)
    if owner is None or template is None:
        return None
    return {
        "metadata": _pick(metadata, _IDENTITY)
        | {
            "labels": {POD_TEMPLATE_HASH: template},
            "annotations": _pick(metadata.get("annotations") or {}, _POD_ANNOTATIONS),
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner["name"]}],
        },
        "status": _pick(status, ("phase", "podIP"))
        | {
            key: [{"state": _slim_container_state(each)} for each in status[key]]
            for key in ("initContainerStatuses", "containerStatuses")
            if key in status
        }
        | {
            "conditions": [
                _pick(each, ("type", "status", "reason", "message", "lastTransitionTime"))
                for each in status.get("conditions") or ()
                if each.get("type") in _POD_CONDITIONS
            ],
        },
    }


def _slim_container_state(container: Mapping[str, Any]) -> Body:
    return {name: _pick(state, ("reason",)) for name, state in (container.get("state") or {}).items()}


def slim_prediction_job(body: Body) -> Body:
    """Keep what the job loop reads: of a job that has ended very little, since clusters keep thousands of those.

    Records that stand in an active job are kept as text, a tenth of what they take as objects; the plan needs them.
    """
    spec, status = body.get("spec") or {}, body.get("status") or {}
    metadata = _pick(body["metadata"], (*_IDENTITY, "generation"))
    summary = [each for each in status.get("conditions") or () if each.get("type") == "Succeeded"]
    if not any(each.get("status") in {"True", "False"} for each in summary):
        return {"metadata": metadata, "spec": _with_packed_records(spec), "status": status}
    redis = (spec.get("output") or {}).get("redis")
    kept = _pick(spec, ("model", "workerPoolRef", "ttlSecondsAfterFinished", "notifications"))
    return {
        "metadata": metadata,
        "spec": kept if redis is None else kept | {"output": {"redis": redis}},
        "status": _pick(status, _ENDED_STATUS if "notifications" in spec else ("state", "finishTime"))
        | {"conditions": [_pick(each, ("type", "status", "reason", "message")) for each in summary]},
    }


def _with_packed_records(spec: Body) -> Body:
    source = spec.get("input") or {}
    inline = source.get("inline") or {}
    records = inline.get("records")
    if records is None:
        return spec
    packed = json.dumps(records, ensure_ascii=False, separators=(",", ":")).encode()
    return spec | {"input": source | {"inline": {"recordCount": len(records), "packedRecords": packed}}}


def _replicas_manager(managed_fields: Iterable[Mapping[str, Any]]) -> str:
    """Name who changed spec.replicas last, by what the API server writes down of each writer."""
    owners = [each for each in managed_fields if "f:replicas" in (each.get("fieldsV1") or {}).get("f:spec", {})]
    newest = max(owners, key=lambda each: str(each.get("time", "")), default=None)
    return "" if newest is None else str(newest.get("manager", ""))


def _pick(mapping: Mapping[str, Any], keys: Iterable[str]) -> Body:
    return {key: mapping[key] for key in keys if key in mapping}
