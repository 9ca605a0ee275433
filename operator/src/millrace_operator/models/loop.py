"""The loop that shows the registry of models in the cluster: soon after each change, and again now and then."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from redis.asyncio import Redis

from millrace_contracts.models import ModelVersion
from millrace_contracts.resources import MODEL_VERSIONS
from millrace_operator.errors import KubernetesError, ObjectNotFound
from millrace_operator.models.registry import ModelRegistry, RegistryUnknown
from millrace_operator.models.view import Remove, Show, steps
from millrace_operator.reporting import metrics as operator_metrics

LOOP: Final = "models"
RELIST_SECONDS: Final = 60.0
"""How often the objects are compared although the registry has not changed: somebody may have deleted one."""
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

log = structlog.get_logger(__name__)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> Any: ...  # noqa: D102 - as named
    def monotonic_seconds(self) -> float: ...  # noqa: D102 - as named


class Kubernetes(Protocol):
    """What this loop asks of the Kubernetes API; each call raises KubernetesError when it is refused."""

    async def list_objects(self, plural: str, *, namespace: str | None) -> list[dict[str, Any]]: ...  # noqa: D102 - as named
    async def create_object(  # noqa: D102 - as named
        self, plural: str, *, namespace: str, body: Mapping[str, Any]
    ) -> dict[str, Any]: ...
    async def replace_status(  # noqa: D102 - as named
        self, plural: str, *, namespace: str, name: str, uid: str, status: Mapping[str, Any]
    ) -> dict[str, Any]: ...
    async def delete_object(self, plural: str, *, namespace: str, name: str, uid: str) -> None: ...  # noqa: D102 - as named
    async def record_event(  # noqa: D102 - as named
        self, body: Mapping[str, Any], *, type_: Any, reason: str, message: str, now: float
    ) -> None: ...


class ModelLoopSettings(Protocol):
    """Where ModelVersions are, and how often they are written."""

    @property
    def namespaces(self) -> tuple[str, ...]: ...  # noqa: D102 - as named
    @property
    def model_namespace(self) -> str: ...  # noqa: D102 - as named
    @property
    def model_loop_seconds(self) -> float: ...  # noqa: D102 - as named


class ModelLoopContext(Protocol):
    """The part of the operator's context that this loop uses."""

    @property
    def settings(self) -> ModelLoopSettings: ...  # noqa: D102 - as named
    @property
    def redis(self) -> Redis: ...  # noqa: D102 - as named
    @property
    def kubernetes(self) -> Kubernetes: ...  # noqa: D102 - as named
    @property
    def clock(self) -> Clock: ...  # noqa: D102 - as named


class Registry(Protocol):
    """The registry of models."""

    async def read(self) -> list[ModelVersion]:
        """Read every version, or raise RegistryUnknown."""
        ...


class Mirror:
    """Keeps the ModelVersions of one namespace equal to the registry."""

    def __init__(self, registry: Registry, kubernetes: Kubernetes, *, namespace: str, clock: Clock) -> None:
        self._registry = registry
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._clock = clock
        self._shown: list[ModelVersion] | None = None
        """What the objects say; None when that is not known."""
        self._listed_at = 0.0
        self._trouble = ""

    async def look_once(self) -> None:
        """Write what changed. A registry that cannot be read changes nothing."""
        try:
            versions = await self._registry.read()
            elapsed = self._clock.monotonic_seconds() - self._listed_at
            if versions != self._shown or elapsed >= RELIST_SECONDS:
                self._shown = None
                await self._show(versions)
                self._shown, self._listed_at = versions, self._clock.monotonic_seconds()
            self._trouble = ""
        except (RegistryUnknown, KubernetesError) as error:
            if str(error) != self._trouble:
                log.warning("versions of models not shown, trying again", error=str(error))
            self._trouble = str(error)

    async def _show(self, versions: list[ModelVersion]) -> None:
        now = self._clock.now().timestamp()
        objects = await self._kubernetes.list_objects(MODEL_VERSIONS, namespace=self._namespace)
        for step in steps(versions, objects, now=now):
            try:
                if isinstance(step, Remove):
                    await self._kubernetes.delete_object(
                        MODEL_VERSIONS, namespace=self._namespace, name=step.name, uid=step.uid
                    )
                else:
                    await self._write(step, now=now)
            except ObjectNotFound as error:
                log.info("model version is gone meanwhile", error=str(error))

    async def _write(self, show: Show, *, now: float) -> None:
        body = show.body
        if show.is_new:
            body = await self._kubernetes.create_object(MODEL_VERSIONS, namespace=self._namespace, body=body)
        metadata = body["metadata"]
        await self._kubernetes.replace_status(
            MODEL_VERSIONS, namespace=self._namespace, name=metadata["name"], uid=metadata["uid"], status=show.status
        )
        if show.event is not None:
            reason, message = show.status["state"], show.status.get("message", "")
            log.info("model version", name=metadata["name"], state=reason, message=message)
            await self._kubernetes.record_event(body, type_=show.event, reason=reason, message=message, now=now)


def choose_namespace(settings: ModelLoopSettings, *, own: str) -> str:
    """Choose where ModelVersions are shown; "" where no namespace is known."""
    if settings.model_namespace:
        return settings.model_namespace
    if settings.namespaces and own not in settings.namespaces:
        # There the operator has its rights.
        return settings.namespaces[0]
    return own


async def run_model_loop(context: ModelLoopContext) -> None:
    """Show the registry until cancelled; a pass that fails is counted and logged, and the next one comes anyway."""
    own = _OWN_NAMESPACE.read_text(encoding="utf-8").strip() if _OWN_NAMESPACE.is_file() else ""
    namespace = choose_namespace(context.settings, own=own) or "default"
    mirror = Mirror(ModelRegistry(context.redis), context.kubernetes, namespace=namespace, clock=context.clock)
    while True:
        began = context.clock.monotonic_seconds()
        try:
            await mirror.look_once()
        except Exception:  # The loop outlives whatever happens in one pass.
            operator_metrics.count_loop_failure(LOOP)
            log.exception("versions of models not shown")
        operator_metrics.observe_loop(LOOP, context.clock.monotonic_seconds() - began)
        await asyncio.sleep(context.settings.model_loop_seconds)
