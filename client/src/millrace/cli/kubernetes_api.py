"""The cluster, as the user's kubeconfig reaches it: the only module that knows the official client."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from millrace.errors import MillraceError, Misconfigured, NotFound, Refused, Unauthorized, Unavailable

GROUP: Final = "millrace.dev"
VERSION: Final = "v1alpha1"
KINDS: Final = {"predictionjobs": "PredictionJob", "workerpools": "WorkerPool"}
REQUEST_LIMIT_SECONDS: Final = 30
_UNAUTHORIZED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_REFUSED: Final = range(400, 500)

Resource = dict[str, Any]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Cluster:
    """One context of a kubeconfig and one namespace."""

    kubeconfig: str | None
    context: str | None
    given_namespace: str | None

    @cached_property
    def namespace(self) -> str:
        """The namespace that was given, or else that of the context."""
        if self.given_namespace:
            return self.given_namespace
        contexts, active = _configured(lambda: config.list_kube_config_contexts(config_file=self.kubeconfig))
        chosen = next((each for each in contexts if each["name"] == self.context), active)
        return str(chosen["context"].get("namespace") or "default")

    def new_api(self) -> Any:
        """Make an ApiClient."""
        api = _configured(lambda: config.new_client_from_config(config_file=self.kubeconfig, context=self.context))
        # A cluster that does not answer is told at once; its errors are not for trying three times.
        api.configuration.retries = False
        return api

    @cached_property
    def _api(self) -> Any:
        return self.new_api()

    def get(self, plural: str, name: str) -> Resource:
        """Answer an object of Millrace."""
        custom = client.CustomObjectsApi(self._api)
        where = f"{KINDS[plural]} {name!r} in namespace {self.namespace!r}"
        found: Resource = _asked(
            where,
            lambda: custom.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, plural, name, _request_timeout=REQUEST_LIMIT_SECONDS
            ),
        )
        return found

    def list_all(self, plural: str, *, is_everywhere: bool = False) -> list[Resource]:
        """Answer all objects of a kind of Millrace, in this namespace or in all."""
        custom = client.CustomObjectsApi(self._api)
        limit = {"_request_timeout": REQUEST_LIMIT_SECONDS}
        listing: Resource = _asked(
            plural,
            lambda: (
                custom.list_cluster_custom_object(GROUP, VERSION, plural, **limit)
                if is_everywhere
                else custom.list_namespaced_custom_object(GROUP, VERSION, self.namespace, plural, **limit)
            ),
        )
        items: list[Resource] = listing["items"]
        return items

    def delete(self, plural: str, resource: Resource) -> None:
        """Delete exactly this object, not another one that has its name by now."""
        custom = client.CustomObjectsApi(self._api)
        metadata = resource["metadata"]
        options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=metadata["uid"]))
        _asked(
            f"{KINDS[plural]} {metadata['name']!r}",
            lambda: custom.delete_namespaced_custom_object(
                GROUP,
                VERSION,
                metadata["namespace"],
                plural,
                metadata["name"],
                body=options,
                _request_timeout=REQUEST_LIMIT_SECONDS,
            ),
        )

    def core(self, kind: str, *, selector: str = "", fields: str = "") -> list[Resource]:
        """List services, secrets, pods or events of the namespace."""
        core = client.CoreV1Api(self._api)
        listing = {
            "services": core.list_namespaced_service,
            "secrets": core.list_namespaced_secret,
            "pods": core.list_namespaced_pod,
            "events": core.list_namespaced_event,
        }[kind]
        found = _asked(
            f"{kind} of namespace {self.namespace!r}",
            lambda: listing(
                self.namespace,
                label_selector=selector,
                field_selector=fields,
                _request_timeout=REQUEST_LIMIT_SECONDS,
            ),
        )
        items: list[Resource] = self._api.sanitize_for_serialization(found)["items"]
        return items

    def deployment(self, name: str) -> Resource:
        """Answer a Deployment."""
        apps = client.AppsV1Api(self._api)
        found = _asked(
            f"deployment {name!r} in namespace {self.namespace!r}",
            lambda: apps.read_namespaced_deployment(name, self.namespace, _request_timeout=REQUEST_LIMIT_SECONDS),
        )
        answer: Resource = self._api.sanitize_for_serialization(found)
        return answer

    def log_lines(self, pod: str, container: str, *, since_seconds: int | None) -> Iterator[str]:
        """Read the log of a container."""
        core = client.CoreV1Api(self._api)
        limits = {"since_seconds": since_seconds} if since_seconds else {}
        response = _asked(
            f"log of pod {pod!r}",
            lambda: core.read_namespaced_pod_log(
                pod,
                self.namespace,
                container=container,
                _preload_content=False,
                _request_timeout=REQUEST_LIMIT_SECONDS,
                **limits,
            ),
        )
        for line in response:
            yield line.decode(errors="replace").rstrip("\n")


def _configured(question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except ConfigException as error:
        raise Misconfigured(
            f"no cluster is configured ({error}); give --kubeconfig or --context, or --url to ask a gateway alone"
        ) from error


def _asked(what: str, question: Callable[[], Answer]) -> Answer:
    try:
        return question()
    except ApiException as error:
        raise _translated(what, error) from error
    except (HTTPError, OSError) as error:
        raise Unavailable(
            f"the Kubernetes API does not answer ({type(error).__name__}); check --kubeconfig and --context"
        ) from error


def _translated(what: str, error: ApiException) -> MillraceError:
    said = _message(error)
    if error.status in _UNAUTHORIZED:
        return Unauthorized(f"the cluster does not let you do this: {said}")
    if error.status == _NOT_FOUND:
        if said.endswith("not found") and "page" not in said:
            return NotFound(f"there is no {what}; `-n NAMESPACE` chooses another namespace")
        return NotFound("the cluster does not know Millrace's resources; is the chart millrace-operator installed?")
    if error.status in _REFUSED:
        return Refused(f"the cluster refuses: {said}")
    return Unavailable(f"the Kubernetes API failed: {said}")


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason or f"HTTP {error.status}")
