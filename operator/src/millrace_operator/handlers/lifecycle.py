"""Tie the operator to kopf: watches keep the object store fresh, start and stop run the loops, a probe tells of them.

Only event handlers are used. kopf's timers, daemons and deletion handlers would put finalizers and annotations on
objects, and a finalizer hangs every deletion while the operator is away.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import kopf
import structlog

from millrace_contracts.resources import CAPACITY_BUDGETS, GROUP, VERSION, WORKER_POOLS
from millrace_operator.handlers.context import OperatorContext
from millrace_operator.handlers.job_watch import run_job_watch
from millrace_operator.handlers.object_store import BodiesByUid
from millrace_operator.handlers.resync import run_resync
from millrace_operator.handlers.slim import slim_deployment, slim_pod, without_managers
from millrace_operator.jobs.loop import run_job_loop
from millrace_operator.models.loop import run_model_loop
from millrace_operator.pools.loop import run_pool_loop

Loop = Callable[[OperatorContext], Coroutine[Any, Any, None]]
LOOPS: tuple[tuple[str, Loop], ...] = (
    ("resync", run_resync),
    ("job-watch", run_job_watch),
    ("pools", run_pool_loop),
    ("jobs", run_job_loop),
    ("models", run_model_loop),
)
log = structlog.get_logger("millrace.operator")


def register(registry: kopf.OperatorRegistry, context: OperatorContext) -> None:
    """Register every handler of the operator."""
    _watch(registry, context)
    tasks: dict[str, asyncio.Task[None]] = {}

    @kopf.on.login(registry=registry)
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_via_client(**arguments)

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        context.start()
        for name, loop in LOOPS:
            tasks[name] = asyncio.create_task(loop(context), name=name)

    @kopf.on.probe(registry=registry, id="loops")
    async def probe(**_: Any) -> dict[str, str]:
        for name, task in tasks.items():
            if task.done():
                # Loops end only by a defect: let the liveness probe fail, so that the pod is started anew.
                raise kopf.PermanentError(f"loop {name} has ended: {task.exception()!r}")
        return dict.fromkeys(tasks, "running")

    @kopf.on.cleanup(registry=registry)
    async def stop(**_: Any) -> None:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await context.close()
        log.info("stopped; pools keep their size and jobs go on with their workers")


def configure(settings: kopf.OperatorSettings) -> None:
    """Keep kopf to watching: no Events of its own, no peers, no search for resources that the role may not see."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.connect_timeout = 5.0
    settings.networking.request_timeout = 30.0
    settings.watching.server_timeout = 300  # written into the URL: a fraction is refused
    settings.watching.connect_timeout = 5.0


def _watch(registry: kopf.OperatorRegistry, context: OperatorContext) -> None:
    store = context.objects

    @kopf.on.event(GROUP, VERSION, WORKER_POOLS, registry=registry)
    async def worker_pool_seen(event: Any, **_: Any) -> None:
        _take_in(store.worker_pools, event["type"], without_managers(dict(event["object"])))

    @kopf.on.event("apps", "v1", "deployments", registry=registry)
    async def deployment_seen(event: Any, **_: Any) -> None:
        _take_in(store.deployments, event["type"], slim_deployment(dict(event["object"])))

    @kopf.on.event(GROUP, VERSION, CAPACITY_BUDGETS, registry=registry)
    async def capacity_budget_seen(event: Any, **_: Any) -> None:
        _take_in(store.capacity_budgets, event["type"], dict(event["object"]))

    @kopf.on.event("", "v1", "pods", registry=registry)
    async def pod_seen(event: Any, **_: Any) -> None:
        if (pod := slim_pod(dict(event["object"]))) is not None:
            _take_in(store.pods, event["type"], pod)


def _take_in(objects: BodiesByUid, event_type: str | None, body: dict[str, Any]) -> None:
    if event_type == "DELETED":
        objects.remove(body["metadata"]["uid"])
    else:
        objects.put(body)
