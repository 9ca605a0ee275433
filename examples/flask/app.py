"""A Flask app that predicts: a form submits a record, the next page shows the answer as soon as it is there."""  # noqa: INP001 - a program, not a package

import json
import os
from typing import Any

from flask import Flask, Response, make_response, redirect, render_template, request, url_for

from millrace import Client, MillraceError, NotFound, Prediction, Refused, Unavailable

MODEL = os.environ.get("MILLRACE_MODEL", "digits")
WAIT_SECONDS = 5.0

app = Flask(__name__)
# MILLRACE_URL and MILLRACE_API_KEY say where. One client for the whole process: its threads share the connections.
client = Client()


@app.get("/")
def form() -> str:
    """Ask for a record."""
    return render_template("form.html", model=MODEL)


@app.post("/predictions")
def submit() -> Response:
    """Hand the record over and go on at once: nobody waits for the model here."""
    try:
        inputs = json.loads(request.form["inputs"])
        (handle,) = client.submit(MODEL, [inputs])
    except (TypeError, ValueError) as error:
        return page("form.html", status=400, error=f"That is no JSON object: {error}")
    return make_response(redirect(url_for("show", prediction_id=handle.id), code=303))


@app.get("/predictions/<prediction_id>")
def show(prediction_id: str) -> Response:
    """Show the answer; while there is none, the page asks again by itself."""
    prediction: Prediction = client.get(prediction_id, wait=WAIT_SECONDS)
    return page("prediction.html", prediction=prediction)


@app.errorhandler(MillraceError)
def explain(error: MillraceError) -> Response:
    """Tell visitors what went wrong; what is ours to mend goes to the log."""
    if isinstance(error, NotFound):
        return page("form.html", status=404, error=str(error))
    if isinstance(error, Refused):
        return page("form.html", status=400, error=str(error))
    app.logger.error("Millrace does not do what it should: %s", error)
    answer = page("form.html", status=503, error="Predictions are not available now. Try again soon.")
    if isinstance(error, Unavailable) and error.retry_after_seconds:
        answer.headers["Retry-After"] = str(round(error.retry_after_seconds))
    return answer


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """Render a page."""
    return make_response(render_template(template, model=MODEL, **values), status)
