"""Predictions by Millrace from Python: `Client` for callers that block, `AsyncClient` for asyncio.

from millrace import Client

with Client("https://millrace.example.com", api_key=key) as client:
    print(client.predict("digits", {"pixels": pixels}).outputs)
"""

from millrace.async_client import AsyncClient, AsyncPredictionHandle
from millrace.client import Client, PredictionHandle
from millrace.errors import (
    MillraceError,
    Misconfigured,
    NotFound,
    PredictionCancelled,
    PredictionFailed,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
)
from millrace.predictions import Failure, Prediction, PredictOptions, State
from millrace.protocol import RetryPolicy

__all__ = [
    "AsyncClient",
    "AsyncPredictionHandle",
    "Client",
    "Failure",
    "MillraceError",
    "Misconfigured",
    "NotFound",
    "PredictOptions",
    "Prediction",
    "PredictionCancelled",
    "PredictionFailed",
    "PredictionHandle",
    "Refused",
    "RetryPolicy",
    "State",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
]
