"""Predictions over HTTP: submit, wait, look up, cancel, and events as they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from millrace_contracts.predictions import Prediction
from millrace_gateway.asked import MAX_WAIT_SECONDS, find_model, read_asked, read_wait
from millrace_gateway.auth import authorize, predict_required
from millrace_gateway.bodies import as_json, read_body, read_json
from millrace_gateway.errors import RequestInvalid
from millrace_gateway.predictor import Predictor, Ticket
from millrace_gateway.routes import documents
from millrace_gateway.routes.shown import json_response, predictions_response, shown
from millrace_gateway.shortcut import ROUTE
from millrace_gateway.store import is_final

MAX_EVENT_IDS: Final = 1000
PING_SECONDS: Final = 15

router = APIRouter(tags=["predictions"])

Wait = Annotated[
    str | None,
    Query(description=f"Wait so many seconds for the answer, up to {MAX_WAIT_SECONDS:g}."),
]


@router.post(
    ROUTE,
    status_code=202,
    response_model=documents.Predictions,
    responses={
        200: {"model": documents.Predictions, "description": "All are final."},
        **documents.errors(400, 401, 403, 404, 413, 422, 429, 503),
    },
    openapi_extra=documents.PREDICT,
)
async def submit(request: Request) -> Response:
    """Predict one or many records: 202 with their ids, or 200 with the answers when they came within `wait`."""
    # Without parameters of its own: `shortcut` calls it too.
    gateway = request.app.state.gateway
    await authorize(request, "predict")
    seconds = read_wait(request.query_params.get("wait"))
    config = gateway.settings.config
    chosen = find_model(request.path_params["model"], config)
    body = read_json(await read_body(request, limit=config.max_body_bytes))
    trace = request.headers.get("traceparent", "")[:128]
    asked = read_asked(body, chosen, config, now=gateway.now(), trace=trace)
    answers = await gateway.predictor.predict(asked, wait_seconds=seconds)
    return predictions_response(answers)


@router.get(
    "/v1/predictions/events",
    dependencies=[Depends(predict_required)],
    response_class=EventSourceResponse,
    responses=documents.errors(401, 403, 404, 422),
)
async def events_of_many(
    request: Request,
    id: Annotated[list[str], Query(max_length=MAX_EVENT_IDS)],  # noqa: A002 - its name in the query
) -> Response:
    """Server-sent events of several predictions: how each is now, and its answer as soon as it comes."""
    return await _events(request, list(dict.fromkeys(id)))


@router.get(
    "/v1/predictions/{prediction_id}",
    dependencies=[Depends(predict_required)],
    response_model=Prediction,
    responses=documents.errors(401, 403, 404, 422),
)
async def show(request: Request, prediction_id: str, wait: Wait = None) -> Response:
    """Show a prediction; with `wait` as soon as it is final, or as it is after that time."""
    seconds = read_wait(wait)
    predictor: Predictor = request.app.state.gateway.predictor
    (answer,) = await predictor.wait(await predictor.look_at([prediction_id]), seconds=seconds)
    return json_response(shown(answer))


@router.get(
    "/v1/predictions/{prediction_id}/events",
    dependencies=[Depends(predict_required)],
    response_class=EventSourceResponse,
    responses=documents.errors(401, 403, 404),
)
async def events(request: Request, prediction_id: str) -> Response:
    """Server-sent events of one prediction: how it is now, and its answer as soon as it comes."""
    return await _events(request, [prediction_id])


@router.delete(
    "/v1/predictions/{prediction_id}",
    dependencies=[Depends(predict_required)],
    response_model=Prediction,
    responses={**documents.errors(401, 403, 404), 409: {"model": documents.Error, "description": "It is final."}},
)
async def cancel(request: Request, prediction_id: str) -> Response:
    """Cancel a prediction; a worker that holds it already computes in vain."""
    predictor: Predictor = request.app.state.gateway.predictor
    return json_response(shown(await predictor.cancel(prediction_id)))


async def _events(request: Request, ids: Sequence[str]) -> Response:
    if not ids:
        raise RequestInvalid("give at least one id")
    predictor: Predictor = request.app.state.gateway.predictor
    # Before the answer begins, so that an unknown id is a 404 and not an empty stream.
    tickets = await predictor.look_at(ids)
    return EventSourceResponse(_as_they_come(predictor, tickets), ping=PING_SECONDS)


async def _as_they_come(predictor: Predictor, tickets: Sequence[Ticket]) -> AsyncIterator[ServerSentEvent]:
    for ticket in tickets:
        yield _event(ticket)
    waiting = {
        asyncio.ensure_future(predictor.wait([ticket], seconds=float("inf"))): ticket
        for ticket in tickets
        if not is_final(ticket.known)
    }
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                ticket = waiting.pop(task)
                task.result()
                if is_final(ticket.known):
                    yield _event(ticket)
    finally:
        for task in waiting:
            task.cancel()


def _event(ticket: Ticket) -> ServerSentEvent:
    return ServerSentEvent(as_json(shown(ticket.known)), event="prediction", id=str(ticket.known["id"]))
