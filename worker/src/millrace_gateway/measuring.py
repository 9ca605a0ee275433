"""Count and time requests, around the app; as plain ASGI, which costs a request almost nothing."""

from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millrace_gateway.metrics import Metrics


class Measuring:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._known: dict[tuple[str, int], tuple[Any, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status = 500

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_status)
        finally:
            # The pattern of the route, not the path: paths are without number.
            route = scope.get("route_path") or getattr(scope.get("route"), "path", "none")
            self._note(str(route), status, perf_counter() - began)

    def _note(self, route: str, status: int, seconds: float) -> None:
        known = self._known.get((route, status))
        if known is None:
            known = (self._metrics.requests.labels(route, str(status)), self._metrics.seconds.labels(route))
            self._known[route, status] = known
        known[0].inc()
        known[1].observe(seconds)
