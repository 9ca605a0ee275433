"""Everything that the operator asks of the Kubernetes API by itself; watching is kopf's.

The official client blocks, so each call runs in a thread, with a time limit.
"""

import asyncio
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, Literal
from uuid import uuid4

import urllib3
from kubernetes import client, config

from millrace_contracts.resources import GROUP, VERSION
from millrace_operator.api.timestamps import to_rfc3339
from millrace_operator.errors import KubernetesError, ObjectNotFound, WatchExpired

Body = dict[str, Any]
Keep = Callable[[Body], Body | None]
"""Makes a large object small, or drops it."""
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
COMPONENT: Final = "millrace-operator"
_REMEMBERED_EVENTS: Final = 512
_NOT_FOUND: Final = 404
_GONE: Final = 410
_UNPROCESSABLE: Final = 422
_CALLS_AT_A_TIME: Final = 16
_PAGE: Final = 250
_MESSAGE_LIMIT: Final = 1024
"""Longest message that the API accepts in an Event."""


def load_client_configuration() -> None:
    """Take the pod's service account, or the kubeconfig where the operator runs outside a cluster."""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config()
    else:
        config.load_kube_config()


class KubernetesApi:
    """Reads and writes objects. Every method raises KubernetesError, or its child ObjectNotFound."""

    def __init__(self, *, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        settings = client.Configuration.get_default_copy()
        settings.connection_pool_maxsize = _CALLS_AT_A_TIME
        api = client.ApiClient(settings)
        # The loop's own threads are a few more than cores, and a call here waits much more than it computes.
        self._threads = ThreadPoolExecutor(max_workers=_CALLS_AT_A_TIME, thread_name_prefix="kubernetes")
        self._custom = client.CustomObjectsApi(api)
        self._apps = client.AppsV1Api(api)
        self._core = client.CoreV1Api(api)
        self._events: OrderedDict[tuple[str, str, str], tuple[str, int]] = OrderedDict()

    async def list_objects(self, plural: str, *, namespace: str | None, keep: Keep = lambda body: body) -> list[Body]:
        """List custom resources of a namespace, or of the cluster; `keep` says what is kept of each."""
        call = (
            self._custom.list_cluster_custom_object if namespace is None else self._custom.list_namespaced_custom_object
        )
        kind = partial(call, group=GROUP, version=VERSION, plural=plural)
        what = f"list {plural}" if namespace is None else f"list {plural} in {namespace}"
        return await self._list_in_pages(what, kind, namespace=namespace, keep=keep)

    def stream_objects(
        self, plural: str, *, namespace: str | None, version: str, server_seconds: int
    ) -> Iterator[tuple[str, Body]]:
        """Yield what happens to custom resources, beginning with all of them where `version` is empty. Blocks."""
        call = (
            self._custom.list_cluster_custom_object if namespace is None else self._custom.list_namespaced_custom_object
        )
        where: dict[str, Any] = {} if namespace is None else {"namespace": namespace}
        if version:
            where["resource_version"] = version
        what = f"watch {plural}"
        with _translated(what):
            answer = call(
                group=GROUP,
                version=VERSION,
                plural=plural,
                watch=True,
                allow_watch_bookmarks=True,
                timeout_seconds=server_seconds,
                _preload_content=False,
                _request_timeout=(self._timeout_seconds, server_seconds + self._timeout_seconds),
                **where,
            )
            try:
                for line in answer:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _refused(what, int(event["object"].get("code", 0)), str(event["object"].get("message")))
                    yield event["type"], event["object"]
            finally:
                answer.close()

    async def list_deployments(self, *, namespace: str | None, keep: Keep) -> list[Body]:
        """List Deployments of a namespace, or of the cluster; `keep` says what is kept of each."""
        call = (
            self._apps.list_deployment_for_all_namespaces
            if namespace is None
            else self._apps.list_namespaced_deployment
        )
        return await self._list_in_pages("list deployments", call, namespace=namespace, keep=keep)

    async def list_pods(self, *, namespace: str | None, keep: Keep) -> list[Body]:
        """List pods of a namespace, or of the cluster; `keep` says what is kept of each."""
        call = self._core.list_pod_for_all_namespaces if namespace is None else self._core.list_namespaced_pod
        return await self._list_in_pages("list pods", call, namespace=namespace, keep=keep)

    async def get_object(self, plural: str, *, namespace: str, name: str) -> Body:
        """Read a custom resource from the API itself."""
        what = f"read {plural} {namespace}/{name}"
        kind = {"group": GROUP, "version": VERSION, "plural": plural}
        body: Body = await self._call(
            what, self._custom.get_namespaced_custom_object, namespace=namespace, name=name, **kind
        )
        return body

    async def create_object(self, plural: str, *, namespace: str, body: Mapping[str, Any]) -> Body:
        """Create a custom resource; its status is written apart."""
        created: Body = await self._call(
            f"create {plural} {namespace}/{body['metadata']['name']}",
            self._custom.create_namespaced_custom_object,
            group=GROUP,
            version=VERSION,
            plural=plural,
            namespace=namespace,
            body=dict(body),
            field_manager=COMPONENT,
        )
        return created

    async def replace_status(
        self, plural: str, *, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> Body:
        """Replace the status of exactly the object with this uid; another one of that name raises ObjectNotFound."""
        what = f"write the status of {plural} {namespace}/{name}"
        try:
            body: Body = await self._call(
                what,
                self._custom.patch_namespaced_custom_object_status,
                group=GROUP,
                version=VERSION,
                plural=plural,
                namespace=namespace,
                name=name,
                # A merge patch ignores a uid; a test that fails refuses the whole patch.
                body=[
                    {"op": "test", "path": "/metadata/uid", "value": uid},
                    {"op": "add", "path": "/status", "value": dict(status)},
                ],
                _content_type=JSON_PATCH,
            )
        except KubernetesError as error:
            # The server does not say whether it was the test that failed or a status that the schema refuses.
            if error.status == _UNPROCESSABLE and await self._has_other_uid(plural, namespace, name, uid):
                raise ObjectNotFound(f"{what}: another object has that name now", status=_NOT_FOUND) from error
            raise
        return body

    async def _has_other_uid(self, plural: str, namespace: str, name: str, uid: str) -> bool:
        body = await self.get_object(plural, namespace=namespace, name=name)
        return bool(body["metadata"]["uid"] != uid)

    async def delete_object(self, plural: str, *, namespace: str, name: str, uid: str) -> None:
        """Delete exactly the object with this uid; one that is gone raises ObjectNotFound."""
        await self._call(
            f"delete {plural} {namespace}/{name}",
            self._custom.delete_namespaced_custom_object,
            group=GROUP,
            version=VERSION,
            plural=plural,
            namespace=namespace,
            name=name,
            body=client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=uid), propagation_policy="Background"),
        )

    async def scale_deployment(self, *, namespace: str, name: str, replicas: int) -> None:
        """Write spec.replicas of a Deployment through its scale subresource."""
        await self._call(
            f"scale deployment {namespace}/{name} to {replicas}",
            self._apps.patch_namespaced_deployment_scale,
            namespace=namespace,
            name=name,
            body={"spec": {"replicas": replicas}},
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    async def lower_deployment(self, *, namespace: str, name: str, previous: int, replicas: int) -> None:
        """Lower spec.replicas only if it still is `previous`: what somebody else wrote meanwhile is never undone."""
        await self._call(
            f"scale deployment {namespace}/{name} from {previous} to {replicas}",
            self._apps.patch_namespaced_deployment_scale,
            namespace=namespace,
            name=name,
            body=[
                {"op": "test", "path": "/spec/replicas", "value": previous},
                {"op": "replace", "path": "/spec/replicas", "value": replicas},
            ],
            field_manager=COMPONENT,
            _content_type=JSON_PATCH,
        )

    async def annotate_pod(self, *, namespace: str, name: str, annotations: Mapping[str, str | None]) -> None:
        """Write annotations of a pod; None removes one."""
        await self._call(
            f"annotate pod {namespace}/{name}",
            self._core.patch_namespaced_pod,
            namespace=namespace,
            name=name,
            body={"metadata": {"annotations": dict(annotations)}},
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )

    async def record_event(
        self, body: Mapping[str, Any], *, type_: Literal["Normal", "Warning"], reason: str, message: str, now: float
    ) -> None:
        """Record an Event about the object `body`; the same one again raises the count of the first."""
        key = (body["metadata"]["uid"], reason, message)
        known = self._events.get(key)
        try:
            if known is not None:
                await self._repeat_event(key, namespace=body["metadata"]["namespace"], now=now)
                return
        except ObjectNotFound:
            pass  # Events live for an hour; a new one begins.
        event = _event(body, type_=type_, reason=reason, message=message[:_MESSAGE_LIMIT], now=now)
        namespace = body["metadata"]["namespace"]
        await self._call(f"record event {reason}", self._core.create_namespaced_event, namespace=namespace, body=event)
        self._events[key] = (event["metadata"]["name"], 1)
        while len(self._events) > _REMEMBERED_EVENTS:
            self._events.popitem(last=False)

    async def _repeat_event(self, key: tuple[str, str, str], *, namespace: str, now: float) -> None:
        name, count = self._events.pop(key)
        await self._call(
            f"record event {key[1]}",
            self._core.patch_namespaced_event,
            name=name,
            namespace=namespace,
            body={"count": count + 1, "lastTimestamp": to_rfc3339(now)},
            _content_type=MERGE_PATCH,
        )
        self._events[key] = (name, count + 1)

    async def _list_in_pages(
        self, what: str, call: Callable[..., Any], *, namespace: str | None, keep: Keep
    ) -> list[Body]:
        """Read raw pages: the client's own types cost milliseconds an object and are thrown away at once."""
        where: dict[str, str] = {} if namespace is None else {"namespace": namespace}
        kept: list[Body] = []
        position = ""
        while True:
            page = {"limit": _PAGE, "_continue": position} if position else {"limit": _PAGE}
            bodies, position = await self._call(what, partial(_read_page, call, keep), **where, **page)
            kept.extend(bodies)
            if not position:
                return kept

    async def _call(self, what: str, function: Callable[..., Any], **arguments: Any) -> Any:
        with _translated(what):
            request = partial(function, _request_timeout=self._timeout_seconds, **arguments)
            return await asyncio.get_running_loop().run_in_executor(self._threads, request)


def _read_page(call: Callable[..., Any], keep: Keep, **arguments: Any) -> tuple[list[Body], str]:
    """Answer what is kept of a page, and where the next one begins. Blocks: it reads and takes apart megabytes."""
    listed = json.loads(call(_preload_content=False, **arguments).data)
    bodies = [body for body in map(keep, listed.get("items") or ()) if body is not None]
    return bodies, (listed.get("metadata") or {}).get("continue", "")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except client.ApiException as error:
        raise _refused(what, error.status, str(error.body or error.reason or "")) from error
    except (urllib3.exceptions.HTTPError, OSError, json.JSONDecodeError) as error:
        # An answer that is no JSON was cut off.
        raise KubernetesError(f"the Kubernetes API did not answer to {what} ({type(error).__name__})") from error


def _refused(what: str, status: int, detail: str) -> KubernetesError:
    kind = {_NOT_FOUND: ObjectNotFound, _GONE: WatchExpired}.get(status, KubernetesError)
    message = f"the Kubernetes API refused to {what}: {status} {' '.join(detail.split())[:500]}"
    return kind(message, status=status)


def _event(
    body: Mapping[str, Any], *, type_: Literal["Normal", "Warning"], reason: str, message: str, now: float
) -> Body:
    metadata, moment = body["metadata"], to_rfc3339(now)
    return {
        "metadata": {"name": f"{metadata['name'][:200]}.{uuid4().hex[:16]}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
        "type": type_,
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
