"""`millrace pipelines`: start a run by hand."""

import json
from typing import Annotated, Any

import typer

from millrace.cli.errors import UsageInvalid
from millrace.cli.output import View
from millrace.cli.session import Session, command

app = typer.Typer(name="pipelines", help="Pipelines: preprocess, train, evaluate, publish.", no_args_is_help=True)
RUN = View(kind="run", name=lambda item: item["runId"], columns={})


@app.callback()
def _group() -> None:
    """Keep `run` a command of its own, although it is the only one."""


@command(app, "run", example="millrace pipelines run recommender -p factors=64")
def run(
    session: Session,
    name: Annotated[str, typer.Argument(help="Name of the pipeline.")],
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE instead of the pipeline's own.")
    ] = None,
    run_id: Annotated[str, typer.Option("--run-id", help="Name of the run; the same name twice is one run.")] = "",
) -> None:
    """Start a run. `millrace models show MODEL` tells what becomes of it."""
    started = session.admin.run_pipeline(name, parameters=named_values(parameter or []), run_id=run_id)
    session.printer.done(started, RUN, f"Run {started['runId']} of pipeline {name} is started.")


def named_values(texts: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE; a value that is JSON is taken as that, else as text."""
    values: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageInvalid(f"--parameter must be NAME=VALUE, not {text!r}")
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values
