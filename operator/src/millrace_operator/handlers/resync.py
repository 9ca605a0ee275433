"""Compare the watched objects with full lists: at start, so that nothing is missing, and now and then after that."""

import asyncio

import structlog

from millrace_contracts.resources import PREDICTION_JOBS, WORKER_POOLS
from millrace_operator.errors import KubernetesError
from millrace_operator.handlers.context import OperatorContext
from millrace_operator.handlers.object_store import slim

RETRY_SECONDS = 2.0
log = structlog.get_logger("millrace.resync")


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
    namespaces: tuple[str | None, ...] = context.settings.namespaces or (None,)
    for objects, plural in ((store.worker_pools, WORKER_POOLS), (store.prediction_jobs, PREDICTION_JOBS)):
        before = objects.uids()
        lists = [await kubernetes.list_objects(plural, namespace=namespace) for namespace in namespaces]
        objects.replace_all([body for each in lists for body in each], known_before=before)
    before = store.deployments.uids()
    lists = [await kubernetes.list_deployments(namespace=namespace) for namespace in namespaces]
    store.deployments.replace_all([slim(body) for each in lists for body in each], known_before=before)
