"""Compare the watched objects with full lists: at start, so that nothing is missing, and now and then after that."""

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import Protocol

import structlog

from millrace_contracts.resources import CAPACITY_BUDGETS, PREDICTION_JOBS, WORKER_POOLS
from millrace_operator.errors import KubernetesError
from millrace_operator.handlers.context import OperatorContext
from millrace_operator.handlers.object_store import BodiesByUid, Body
from millrace_operator.handlers.slim import slim_deployment, slim_pod, slim_prediction_job, without_managers

RETRY_SECONDS = 2.0
log = structlog.get_logger("millrace.resync")


class ListOne(Protocol):
    """Lists one resource in a namespace, or everywhere."""

    def __call__(self, *, namespace: str | None) -> Awaitable[list[Body]]: ...  # noqa: D102 - as the class says


async def run_resync(context: OperatorContext) -> None:
    """List everything until it worked once, then again every `resync_seconds`."""
    trouble = ""
    while True:
        try:
            await resync(context)
        except KubernetesError as error:
            if str(error) != trouble:
                log.warning("objects could not be listed; trying again", error=str(error), retry_seconds=RETRY_SECONDS)
            trouble = str(error)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        trouble = ""
        await asyncio.sleep(context.settings.resync_seconds)


async def resync(context: OperatorContext) -> None:
    """List every resource once and take the lists in."""
    store, kubernetes = context.objects, context.kubernetes
    lists: tuple[tuple[BodiesByUid, ListOne], ...] = (
        (store.worker_pools, partial(kubernetes.list_objects, WORKER_POOLS, keep=without_managers)),
        (store.prediction_jobs, partial(kubernetes.list_objects, PREDICTION_JOBS, keep=slim_prediction_job)),
        (store.capacity_budgets, partial(kubernetes.list_objects, CAPACITY_BUDGETS)),
        (store.deployments, partial(kubernetes.list_deployments, keep=slim_deployment)),
        (store.pods, partial(kubernetes.list_pods, keep=slim_pod)),
    )
    for objects, list_one in lists:
        before = objects.uids()
        listed = [await list_one(namespace=namespace) for namespace in context.settings.namespaces or (None,)]
        objects.replace_all([body for each in listed for body in each], known_before=before)
