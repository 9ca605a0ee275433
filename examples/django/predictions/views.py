"""An async view that submits a record and shows its answer; waiting costs no thread."""

import json
import logging

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from millrace import AsyncClient, MillraceError, NotFound, PredictionFailed, Refused, TimedOut

WAIT_SECONDS = 20.0
EXAMPLE = '{"x": [1, 2]}'

log = logging.getLogger(__name__)


async def predict(request: HttpRequest) -> HttpResponse:
    """Show the form, and what the model says to what was written into it."""
    if request.method != "POST":
        return page(request, text=EXAMPLE)
    text = request.POST.get("inputs", "")
    try:
        inputs = json.loads(text)
    except ValueError as error:
        return page(request, text=text, status=400, error=f"That is no JSON: {error}")
    try:
        # A client belongs to one event loop. Under WSGI Django makes a loop for each request, so this one is made here;
        # a site that runs on ASGI alone may keep one and save the connection.
        async with AsyncClient() as client:
            prediction = await client.predict(settings.MILLRACE_MODEL, inputs, wait=WAIT_SECONDS)
    except (Refused, NotFound, PredictionFailed, TypeError, ValueError) as error:
        return page(request, text=text, status=400, error=str(error))
    except TimedOut:
        return page(request, text=text, status=504, error="The model takes long today. Try again.")
    except MillraceError as error:
        log.error("Millrace does not do what it should: %s", error)  # noqa: TRY400 - it says all there is to say
        return page(request, text=text, status=503, error="Predictions are not available now. Try again soon.")
    return page(request, text=text, prediction=prediction, outputs=json.dumps(prediction.outputs))


def page(request: HttpRequest, *, status: int = 200, **values: object) -> HttpResponse:
    """Render the page."""
    return render(request, "predict.html", {"model": settings.MILLRACE_MODEL, **values}, status=status)
