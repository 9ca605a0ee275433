"""`millrace predict`: records through the gateway, from the command line or a file."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from millrace.cli.errors import OutcomeFailed, UsageInvalid
from millrace.cli.output import Printer, View
from millrace.cli.pipelines import named_values
from millrace.cli.session import Session, command
from millrace.errors import PredictionFailed, TimedOut
from millrace.predictions import Prediction, PredictOptions, State

VIEW = View(
    kind="prediction",
    name=lambda item: item["id"],
    columns={
        "ID": lambda item: item["id"],
        "STATE": lambda item: item["state"],
        "MODEL": lambda item: f"{item['model']}:{item['model_version']}" if item["model_version"] else item["model"],
        "CACHED": lambda item: item["cached"],
        "OUTPUTS": lambda item: json.dumps(item["outputs"], ensure_ascii=False) if item["outputs"] else _reason(item),
    },
)
_SUBMIT_AT_ONCE = 256


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "predict", example="millrace predict digits --inputs '{\"pixels\": [0, 0, 5]}' --wait 10")(predict)


def predict(
    session: Session,
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    *,
    inputs: Annotated[str | None, typer.Option("--inputs", "-i", help="One record as JSON.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help='A record as JSON on each line; "-" reads standard input.')
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", "-w", min=0, help="Seconds to wait for answers; 0 only hands over.")
    ] = 30.0,
    parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE for the model.")] = None,
    priority: Annotated[str | None, typer.Option("--priority", help="realtime or batch.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Version of the model.")] = None,
    is_cached: Annotated[bool, typer.Option("--cache/--no-cache", help="Use the prediction cache.")] = True,
    prediction_id: Annotated[
        str | None, typer.Option("--id", help="Ask for a prediction that was handed over before.")
    ] = None,
) -> None:
    """Predict one record, or each line of a file. Answers come in the order of the records, as JSON lines for a file.

    Ends with 1 when a prediction failed and with 124 when answers are still missing.
    """
    options = _options(parameter or [], priority=priority, version=version, is_cached=is_cached)
    if [inputs, file, prediction_id].count(None) != 2:  # noqa: PLR2004 - one of three is given
        raise UsageInvalid("give exactly one of --inputs, --file and --id")
    if prediction_id is not None:
        _again(session, prediction_id, wait=wait)
    elif inputs is not None:
        _one(session, model, _record(inputs, "--inputs"), wait=wait, options=options)
    elif wait == 0:
        _hand_over(session, model, _lines(str(file)), options)
    else:
        _many(session, model, _lines(str(file)), wait=wait, options=options)


def _one(session: Session, model: str, record: dict[str, Any], *, wait: float, options: PredictOptions) -> None:
    if wait == 0:
        (handle,) = session.client.submit(model, [record], **options)
        _show(session.printer, session.client.get(handle.id))
        return
    _show_outcome(session.printer, lambda: session.client.predict(model, record, wait=wait, **options))


def _again(session: Session, prediction_id: str, *, wait: float) -> None:
    def ask() -> Prediction:
        known = session.client.wait_for(session.client.get(prediction_id), timeout=wait)
        known.require_outputs()
        return known

    _show_outcome(session.printer, ask)


def _show_outcome(printer: Printer, ask: Callable[[], Prediction]) -> None:
    """Show the prediction also where it has no outputs: a program that reads JSON gets some either way."""
    try:
        _show(printer, ask())
    except PredictionFailed as error:
        _show(printer, error.prediction)
        raise
    except TimedOut as error:
        if error.prediction is None:
            raise
        _show(printer, error.prediction)
        known = error.prediction
        raise TimedOut(
            f"prediction {known.id} is still pending; it goes on: millrace predict {known.model} --id {known.id}",
            prediction=known,
        ) from error


def _hand_over(session: Session, model: str, records: Iterator[dict[str, Any]], options: PredictOptions) -> None:
    held: list[dict[str, Any]] = []
    for record in records:
        held.append(record)
        if len(held) == _SUBMIT_AT_ONCE:
            _print_ids(session, model, held, options)
            held = []
    if held:
        _print_ids(session, model, held, options)


def _print_ids(session: Session, model: str, records: list[dict[str, Any]], options: PredictOptions) -> None:
    for handle in session.client.submit(model, records, **options):
        session.printer.record({"id": handle.id})


def _many(
    session: Session, model: str, records: Iterator[dict[str, Any]], *, wait: float, options: PredictOptions
) -> None:
    failed = total = 0
    for prediction in session.client.predict_many(model, records, timeout=wait, **options):
        total += 1
        failed += prediction.state is not State.SUCCEEDED
        session.printer.record(prediction.as_json())
    if failed:
        raise OutcomeFailed(f"{failed} of {total} predictions have no outputs; their lines say why")


def _show(printer: Printer, prediction: Prediction) -> None:
    printer.one(
        prediction.as_json(),
        VIEW,
        details=lambda item: [
            ("ID", item["id"]),
            ("State", item["state"]),
            ("Model", f"{item['model']} {item['model_version']}".strip()),
            ("Cached", item["cached"]),
            *((name, json.dumps(value, ensure_ascii=False)) for name, value in (item["outputs"] or {}).items()),
        ],
    )


def _options(parameters: list[str], *, priority: str | None, version: str | None, is_cached: bool) -> PredictOptions:
    options = PredictOptions()
    if parameters:
        options["parameters"] = named_values(parameters)
    if priority is not None:
        options["priority"] = _priority(priority)
    if version is not None:
        options["version"] = version
    if not is_cached:
        options["cache"] = False
    return options


def _priority(text: str) -> Literal["realtime", "batch"]:
    if text == "realtime":
        return "realtime"
    if text == "batch":
        return "batch"
    raise UsageInvalid(f"--priority is realtime or batch, not {text!r}")


def _lines(file: str) -> Iterator[dict[str, Any]]:
    try:
        with sys.stdin if file == "-" else Path(file).open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _record(line, f"line {number} of {file}")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageInvalid(f"{file} cannot be read: {error}") from error


def _record(text: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise UsageInvalid(f"{where} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise UsageInvalid(f'{where} must be an object with the model\'s inputs, such as {{"x": [1.0]}}')
    return record


def _reason(item: Mapping[str, Any]) -> str:
    return f"{item['error']['code']}: {item['error']['message']}" if item["error"] else ""
