"""The cluster, as the user's kubeconfig reaches it: the only module that asks its API."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import httpx

from millrace.cli.kubernetes_access import Kubeconfig, read_kubeconfig
from millrace.errors import MillraceError, NotFound, Refused, Unauthorized, Unavailable

GROUP: Final = "millrace.dev"
VERSION: Final = "v1alpha1"
KINDS: Final = {"predictionjobs": "PredictionJob", "workerpools": "WorkerPool"}
REQUEST_LIMIT_SECONDS: Final = 30
PAGE_SIZE: Final = 500
"""Objects that the API server puts into one answer; there may be ten thousand jobs."""
_UNAUTHENTICATED: Final = 401
_UNAUTHORIZED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_REFUSED: Final = range(400, 500)
_CUSTOM: Final = f"/apis/{GROUP}/{VERSION}"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """One context of a kubeconfig and one namespace."""

    kubeconfig: str | None
    context: str | None
    given_namespace: str | None

    @cached_property
    def chosen(self) -> Kubeconfig:
        """The context of the kubeconfig."""
        return read_kubeconfig(self.kubeconfig, self.context)

    @cached_property
    def namespace(self) -> str:
        """The namespace that was given, or else that of the context."""
        return self.given_namespace or self.chosen.namespace

    def get(self, plural: str, name: str) -> Resource:
        """Answer an object of Millrace."""
        return self._ask("GET", self._custom(plural, name), what=self._named(plural, name))

    def list_all(self, plural: str, *, is_everywhere: bool = False) -> list[Resource]:
        """Answer all objects of a kind of Millrace, in this namespace or in all."""
        path = f"{_CUSTOM}/{plural}" if is_everywhere else self._custom(plural)
        return self._list(path, what=plural)

    def patch(self, plural: str, resource: Resource, spec: Mapping[str, Any]) -> Resource:
        """Change fields of the spec of exactly this object, and answer what it is then."""
        metadata = resource["metadata"]
        path = self._custom(plural, metadata["name"], namespace=metadata["namespace"])
        # The API server refuses a patch whose uid is another.
        body = {"metadata": {"uid": metadata["uid"]}, "spec": dict(spec)}
        return self._ask("PATCH", path, what=self._named(plural, metadata["name"]), body=body)

    def delete(self, plural: str, resource: Resource) -> None:
        """Delete exactly this object, not another one that has its name by now."""
        metadata = resource["metadata"]
        path = self._custom(plural, metadata["name"], namespace=metadata["namespace"])
        options = {"preconditions": {"uid": metadata["uid"]}}
        self._ask("DELETE", path, what=self._named(plural, metadata["name"]), body=options)

    def core(self, kind: str, *, selector: str = "", fields: str = "") -> list[Resource]:
        """List services, secrets, pods or events of the namespace."""
        selectors = {"labelSelector": selector, "fieldSelector": fields}
        path = f"/api/v1/namespaces/{quote(self.namespace)}/{kind}"
        return self._list(path, what=f"{kind} of namespace {self.namespace!r}", **selectors)

    def deployment(self, name: str) -> Resource:
        """Answer a Deployment."""
        path = f"/apis/apps/v1/namespaces/{quote(self.namespace)}/deployments/{quote(name)}"
        return self._ask("GET", path, what=f"deployment {name!r} in namespace {self.namespace!r}")

    def log_lines(self, pod: str, container: str, *, since_seconds: int | None) -> Iterator[str]:
        """Read the log of a container."""
        path = f"/api/v1/namespaces/{quote(self.namespace)}/pods/{quote(pod)}/log"
        limits = {"sinceSeconds": str(since_seconds)} if since_seconds else {}
        with _translated():
            request = self._build("GET", path, {"container": container, **limits}, None)
            response = self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise _refusal(f"log of pod {pod!r}", response)
                yield from response.iter_lines()
            finally:
                response.close()

    @cached_property
    def _http(self) -> httpx.Client:
        access = self.chosen.access()
        return httpx.Client(
            base_url=access.server,
            verify=access.tls,
            headers={**access.headers, "Accept": "application/json"},
            proxy=access.proxy or None,
            timeout=REQUEST_LIMIT_SECONDS,
            follow_redirects=False,
        )

    def _build(
        self, method: str, path: str, params: Mapping[str, str] | None, body: Mapping[str, Any] | None
    ) -> httpx.Request:
        request = self._http.build_request(method, path, params=dict(params or {}), json=body)
        if method == "PATCH":
            request.headers["Content-Type"] = "application/merge-patch+json"
        if self.chosen.server_name:
            request.extensions["sni_hostname"] = self.chosen.server_name
        return request

    def _ask(
        self,
        method: str,
        path: str,
        *,
        what: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Resource:
        with _translated():
            response = self._http.send(self._build(method, path, params, body))
            if response.status_code == _UNAUTHENTICATED:
                # A token that lasts for minutes has expired while somebody waited for a job.
                self.close()
                response = self._http.send(self._build(method, path, params, body))
        if not response.is_success:
            raise _refusal(what, response)
        answer: Resource = response.json()
        return answer

    def _list(self, path: str, *, what: str, **selectors: str) -> list[Resource]:
        items: list[Resource] = []
        params = {"limit": str(PAGE_SIZE), **{name: value for name, value in selectors.items() if value}}
        while True:
            page = self._ask("GET", path, what=what, params=params)
            items += page.get("items") or []
            if not (following := (page.get("metadata") or {}).get("continue")):
                return items
            params["continue"] = following

    def _custom(self, plural: str, name: str = "", *, namespace: str = "") -> str:
        path = f"{_CUSTOM}/namespaces/{quote(namespace or self.namespace)}/{plural}"
        return f"{path}/{quote(name, safe='')}" if name else path

    def _named(self, plural: str, name: str) -> str:
        return f"{KINDS[plural]} {name!r} in namespace {self.namespace!r}"

    def close(self) -> None:
        """Close the connections; the next question opens others."""
        http: httpx.Client | None = self.__dict__.pop("_http", None)
        if http is not None:
            http.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise Unavailable(
            f"the Kubernetes API does not answer ({type(error).__name__}); check --kubeconfig and --context"
        ) from error


def _refusal(what: str, response: httpx.Response) -> MillraceError:
    said = _message(response)
    if response.status_code in _UNAUTHORIZED:
        return Unauthorized(f"the cluster does not let you do this: {said}")
    if response.status_code == _NOT_FOUND:
        if said.endswith("not found") and "page" not in said:
            return NotFound(f"there is no {what}; `-n NAMESPACE` chooses another namespace")
        return NotFound("the cluster does not know Millrace's resources; is the chart millrace-operator installed?")
    if response.status_code in _REFUSED:
        return Refused(f"the cluster refuses: {said}")
    return Unavailable(f"the Kubernetes API failed: {said}")


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["message"])
    except (TypeError, ValueError, KeyError):
        return response.reason_phrase or f"HTTP {response.status_code}"
