"""The Open Inference Protocol over HTTP: what Triton's own client asks."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from millrace_contracts.predictions import PredictionError, PredictionState
from millrace_gateway.asked import Asked, find_model, to_record
from millrace_gateway.auth import authorize, predict_required
from millrace_gateway.bodies import read_body
from millrace_gateway.errors import NoAnswerInTime, NotFound, PredictionFailed, RequestMalformed
from millrace_gateway.protocol import requests, signatures
from millrace_gateway.routes import documents
from millrace_gateway.routes.shown import json_response
from millrace_gateway.settings import ModelSettings

EXTENSIONS: Final = ["binary_tensor_data", "model_configuration"]
_STATUS: Final[Mapping[str, int]] = {
    PredictionError.INVALID_RECORD: 400,
    PredictionError.REJECTED_BY_MODEL: 400,
    PredictionError.MODEL_NOT_FOUND: 404,
    PredictionError.DEADLINE_EXCEEDED: 504,
}

router = APIRouter(tags=["Open Inference Protocol"])
_predict = [Depends(predict_required)]
_MODEL: Final = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")


@router.get("/v2/health/live", response_class=Response)
async def live() -> Response:
    """Say that the gateway answers."""
    return Response()


@router.get("/v2/health/ready", response_class=Response)
async def ready(request: Request) -> Response:
    """Say whether predictions are accepted now."""
    gateway = request.app.state.gateway
    return Response(status_code=200 if gateway.broker.is_connected and not gateway.predictor.is_draining else 503)


@router.get("/v2", dependencies=_predict)
async def server() -> Response:
    """Describe the server."""
    version = metadata.version("millrace-worker")
    return json_response({"name": "millrace-gateway", "version": version, "extensions": EXTENSIONS})


@router.get(_MODEL[0] + "/ready", dependencies=_predict, response_class=Response)
@router.get(_MODEL[1] + "/ready", dependencies=_predict, response_class=Response)
async def model_ready(request: Request, model: str, version: str = "") -> Response:
    """Say whether predictions of this model, and of this version where one is named, are accepted now."""
    description = await request.app.state.gateway.signatures.describe(_find(request, model, version))
    if version and description.versions and version not in description.versions:
        raise NotFound(f'model "{model}" has the versions {", ".join(description.versions)}, and no other')
    return await ready(request)


@router.get(_MODEL[0] + "/config", dependencies=_predict)
@router.get(_MODEL[1] + "/config", dependencies=_predict)
async def model_config(request: Request, model: str, version: str = "") -> Response:
    """Answer the part of the model's configuration that clients use."""
    chosen = _find(request, model, version)
    return json_response(signatures.model_config(await request.app.state.gateway.signatures.describe(chosen)))


@router.get(_MODEL[0], dependencies=_predict)
@router.get(_MODEL[1], dependencies=_predict)
async def model_metadata(request: Request, model: str, version: str = "") -> Response:
    """Describe inputs and outputs of the model."""
    chosen = _find(request, model, version)
    known: signatures.Signatures = request.app.state.gateway.signatures
    description = await known.describe(chosen)
    return json_response(signatures.metadata(description, version or await known.serving_version(chosen)))


@router.post(_MODEL[0] + "/infer", responses=documents.INFER_ERRORS, openapi_extra=documents.infer())
@router.post(_MODEL[1] + "/infer", responses=documents.INFER_ERRORS, openapi_extra=documents.infer("version"))
async def infer(request: Request) -> Response:
    """Predict the rows of a request with tensors as JSON or bytes, and wait for their answers."""
    await authorize(request, "predict")
    gateway = request.app.state.gateway
    version = request.path_params.get("version", "")
    chosen = _find(request, request.path_params["model"], version)
    config = gateway.settings.config
    body = await read_body(request, limit=config.max_body_bytes)
    description = await gateway.signatures.describe(chosen)
    asked_for = requests.read_infer(body, request.headers.get(requests.HEADER.lower()), description)
    if len(asked_for.records) > config.max_records_per_request:
        raise RequestMalformed(f"{len(asked_for.records)} rows at once; the limit is {config.max_records_per_request}")
    seconds = min(asked_for.timeout_seconds or float("inf"), float(config.request_timeout_seconds))
    answers = await gateway.predictor.predict(
        Asked(
            model=chosen,
            records=tuple(to_record(record, f"row {i}") for i, record in enumerate(asked_for.records)),
            parameters=asked_for.parameters,
            queue=chosen.queue,
            version=version or chosen.version,
            deadline=gateway.now() + seconds if asked_for.timeout_seconds else None,
            trace=request.headers.get("traceparent", "")[:128],
        ),
        wait_seconds=seconds,
        must_answer=True,
    )
    _raise_first_failure(answers, seconds=seconds)
    content, headers = requests.write_infer(asked_for, answers, description)
    return Response(content, headers=headers)


def _find(request: Request, name: str, version: str) -> ModelSettings:
    if version and not version.isdigit():
        raise RequestMalformed(f'"{version}" is no version of a model')
    return find_model(name, request.app.state.gateway.settings.config)


def _raise_first_failure(answers: Sequence[Mapping[str, Any]], *, seconds: float) -> None:
    for i, answer in enumerate(answers):
        if answer["state"] == PredictionState.SUCCEEDED:
            continue
        if answer["state"] == PredictionState.PENDING:
            raise NoAnswerInTime(f"no answer within {seconds:g} s")
        error = answer.get("error") or {"code": answer["state"], "message": "the prediction was cancelled"}
        where = f"row {i}: " if len(answers) > 1 else ""
        raise PredictionFailed(f"{where}{error['message']}", status=_STATUS.get(error["code"], 500))
