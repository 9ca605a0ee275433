"""What /docs says of requests and answers that are read by hand."""

from typing import Any, Final

from pydantic import BaseModel, Field

from millrace_contracts.predictions import Prediction


class ErrorDetail(BaseModel):
    """Why a request was not done."""

    code: str = Field(examples=["RequestInvalid"])
    message: str = Field(examples=['"records[2]" must be an object: the inputs of the model by name'])


class Error(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


class Predictions(BaseModel):
    """The predictions of a request, in the order of its records."""

    predictions: list[Prediction]


_RECORD: Final = {"type": "object", "additionalProperties": True}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "inputs": {**_RECORD, "description": "One record: the inputs of the model by name."},
        "records": {"type": "array", "items": _RECORD, "minItems": 1, "description": "Many records."},
        "parameters": {"type": "object", "description": "Booleans, numbers and strings for the model."},
        "priority": {"enum": ["realtime", "batch"], "default": "realtime"},
        "version": {"type": "string", "description": "A version of the model; the one that serves if left out."},
        "deadlineSeconds": {"type": "number", "description": "After so long the answer is not wanted any more."},
        "cache": {"type": "boolean", "default": True, "description": "Whether a kept answer will do."},
    },
}
_EXAMPLES: Final[dict[str, Any]] = {
    "one record": {"value": {"inputs": {"x": [0.5, 1.0]}}},
    "many records, when there is time": {
        "value": {"records": [{"x": [0.5, 1.0]}, {"x": [2.0, 3.0]}], "priority": "batch", "deadlineSeconds": 600}
    },
}
PREDICT: Final[dict[str, Any]] = {
    "parameters": [
        {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}},
        {
            "name": "wait",
            "in": "query",
            "description": "Wait so many seconds for the answers, up to 60.",
            "schema": {"type": "number", "default": 0, "minimum": 0, "maximum": 60},
        },
    ],
    "requestBody": {"required": True, "content": {"application/json": {"schema": _SCHEMA, "examples": _EXAMPLES}}},
}
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Error, "description": "The body is no JSON."},
    401: {"model": Error, "description": "No key or token, or one that is not known."},
    403: {"model": Error, "description": "The key has not the scope."},
    404: {"model": Error, "description": "No such model or prediction; the message lists the models."},
    413: {"model": Error, "description": "The body is too large."},
    422: {"model": Error, "description": "A field is wrong; the message names it."},
    429: {"model": Error, "description": "The pool is busy; Retry-After says when it will not be."},
    503: {"model": Error, "description": "RabbitMQ or Redis is away; nothing was accepted. Retry-After."},
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Choose some of the documented errors."""
    return {status: ERRORS[status] for status in statuses}


INFER_ERRORS: Final = errors(400, 401, 403, 404, 413, 429, 503)


def infer(*more: str) -> dict[str, Any]:
    """Document an infer request of the Open Inference Protocol."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1.0]}
    names = ("model", *more)
    return {
        "parameters": [{"name": each, "in": "path", "required": True, "schema": {"type": "string"}} for each in names],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": {"inputs": [tensor]}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    }
