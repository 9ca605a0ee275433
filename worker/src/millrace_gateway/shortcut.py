"""The one request that comes by the thousand goes straight to its function, past routes that it does not need.

FastAPI has this route too, for /docs and for all that does not match here: it looks through the routes, solves
dependencies and stacks exits for each request, which is twice the work of the request itself.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from millrace_gateway.errors import GatewayError

ROUTE: Final = "/v1/models/{model}/predictions"
_BEFORE, _AFTER = ROUTE.split("{model}")


class Shortcut:
    """ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        submit: Callable[[Request], Awaitable[Response]],
        refuse: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self._app = app
        self._submit = submit
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        model = model_of(scope)
        if model is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = {"model": model}
        scope["route_path"] = ROUTE
        request = Request(scope, receive)
        try:
            response = await self._submit(request)
        except GatewayError as error:
            response = await self._refuse(request, error)
        await response(scope, receive, send)


def model_of(scope: Scope) -> str | None:
    """Answer the model of a request for predictions, None for any other request."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    path: str = scope["path"]
    if not (path.startswith(_BEFORE) and path.endswith(_AFTER)):
        return None
    model = path[len(_BEFORE) : -len(_AFTER)]
    return model if model and "/" not in model else None
