"""Predictions and errors as callers see them."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from millrace_gateway.bodies import as_json
from millrace_gateway.errors import GatewayError
from millrace_gateway.store import Answer, is_final

_INTERNAL: Final = ("channel", "same_as")


def shown(answer: Answer) -> dict[str, Any]:
    """Leave out what only the gateway needs."""
    return {name: value for name, value in answer.items() if name not in _INTERNAL}


def json_response(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer JSON."""
    return Response(as_json(value), status, headers, "application/json")


def predictions_response(answers: Sequence[Answer]) -> Response:
    """Answer several predictions: 200 when all are final, else 202."""
    is_done = all(is_final(each) for each in answers)
    headers = {"Location": f"/v1/predictions/{answers[0]['id']}"}
    return json_response(
        {"predictions": [shown(each) for each in answers]}, status=200 if is_done else 202, headers=headers
    )


def error_response(error: GatewayError, *, path: str) -> Response:
    """Answer an error in the form of the path's protocol."""
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.status == 401:  # noqa: PLR2004 - the status is the name
        headers["WWW-Authenticate"] = 'Bearer realm="millrace"'
    return json_response(error_body(error.code, str(error), path=path), status=error.status, headers=headers)


def error_body(code: str, message: str, *, path: str) -> dict[str, Any]:
    """Write an error: a text where the Open Inference Protocol says so, code and message elsewhere."""
    if path == "/v2" or path.startswith("/v2/"):
        return {"error": message}
    return {"error": {"code": code, "message": message}}
