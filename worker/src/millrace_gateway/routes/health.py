"""For probes and Prometheus: open to all, and nothing secret in them."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

router = APIRouter(tags=["health"])


@router.get("/healthz", response_class=Response)
async def live() -> Response:
    """Say that the process answers."""
    return Response("ok\n", media_type="text/plain")


@router.get("/readyz", response_class=Response)
async def ready(request: Request) -> Response:
    """Say that callers may be sent here: not while it ends.

    RabbitMQ and Redis are left out on purpose: they are away for all replicas at once, and a replica that is asked
    says so with a reason and a time to come back, which no closed door does.
    """
    if request.app.state.gateway.predictor.is_draining:
        return Response("ending\n", 503, media_type="text/plain")
    return Response("ok\n", media_type="text/plain")


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus."""
    gateway = request.app.state.gateway
    gateway.metrics.broker_connected.set(gateway.broker.is_connected)
    return Response(gateway.metrics.page(), media_type=CONTENT_TYPE_LATEST)
