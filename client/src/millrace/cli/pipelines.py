"""`millrace pipelines`: what became of runs, and start one by hand."""

import json
from typing import Annotated, Any

import typer

from millrace.cli.errors import UsageInvalid
from millrace.cli.output import View
from millrace.cli.session import Session, command
from millrace.cli.times import moment

app = typer.Typer(name="pipelines", help="Pipelines: preprocess, train, evaluate, publish.", no_args_is_help=True)
RUN = View(kind="run", name=lambda item: item["runId"], columns={})


PIPELINES = View(
    kind="pipeline",
    name=lambda item: item["pipeline"],
    nothing="No pipeline has run yet.",
    columns={
        "PIPELINE": lambda item: item["pipeline"],
        "LAST RUN": lambda item: (item["latest"] or {}).get("run_id"),
        "STATE": lambda item: (item["latest"] or {}).get("state"),
        "BEGUN": lambda item: moment((item["latest"] or {}).get("started_at")),
        "MESSAGE": lambda item: (item["latest"] or {}).get("message"),
    },
)
RUNS = View(
    kind="run",
    name=lambda item: item["run_id"],
    nothing="No run is remembered.",
    columns={
        "RUN": lambda item: item["run_id"],
        "STATE": lambda item: item["state"],
        "STEP": lambda item: item["step"],
        "VERSION": lambda item: item["version"],
        "BEGUN": lambda item: moment(item["started_at"]),
        "BY": lambda item: item["requested_by"],
        "MESSAGE": lambda item: item["message"],
    },
)
Name = Annotated[str, typer.Argument(help="Name of the pipeline.")]


@command(app, "list", example="millrace pipelines list")
def list_pipelines(session: Session) -> None:
    """List the pipelines that ever ran, each with its last run."""
    session.printer.many(session.admin.pipelines(), PIPELINES)


@command(app, "runs", example="millrace pipelines runs recommender")
def list_runs(session: Session, name: Name) -> None:
    """List the last runs of a pipeline, the newest first, with how far each came and why."""
    session.printer.many(session.admin.pipeline_runs(name), RUNS)


@command(app, "run", example="millrace pipelines run recommender -p factors=64")
def run(
    session: Session,
    name: Name,
    *,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE instead of the pipeline's own.")
    ] = None,
    run_id: Annotated[str, typer.Option("--run-id", help="Name of the run; the same name twice is one run.")] = "",
) -> None:
    """Start a run. `millrace pipelines runs NAME` tells how far it is, `millrace models show MODEL` what it led to."""
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
