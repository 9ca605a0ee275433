"""`millrace models`: what serves, and what became of the versions that pipelines made."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from millrace.cli.output import View
from millrace.cli.session import Session, command
from millrace.cli.times import moment

app = typer.Typer(name="models", help="Models that pipelines publish, with their versions.", no_args_is_help=True)


def measured(metrics: Mapping[str, float]) -> str:
    """Write metrics for people."""
    return ", ".join(f"{name}={value:.4g}" for name, value in sorted(metrics.items()))


MODELS = View(
    kind="model",
    name=lambda item: item["model"],
    nothing="No pipeline has published a model yet.",
    columns={
        "MODEL": lambda item: item["model"],
        "SERVING": lambda item: item["serving"],
        "METRICS": lambda item: measured(item["metrics"]),
        "SINCE": lambda item: moment(item["since"]),
        "LATEST": lambda item: f"{item['latest']['version']} {item['latest']['state']}" if item["latest"] else "",
    },
)
VERSIONS = View(
    kind="modelversion",
    name=lambda item: f"{item['model']}-{item['version']}",
    columns={
        "VERSION": lambda item: item["version"],
        "STATE": lambda item: item["state"],
        "METRICS": lambda item: measured(item["metrics"]),
        "BASELINE": lambda item: measured(item["baseline"]),
        "CHANGED": lambda item: moment(item["changed_at"]),
        "MESSAGE": lambda item: item["message"],
    },
)


@command(app, "list", example="millrace models list")
def list_models(session: Session) -> None:
    """List the models with the version that serves."""
    session.printer.many(session.admin.models(), MODELS)


@command(app, "show", example="millrace models show recommender")
def show(session: Session, model: Annotated[str, typer.Argument(help="Name of the model.")]) -> None:
    """Show the versions of a model, the newest first, with what was measured and why each is in its state."""
    found: dict[str, Any] = session.admin.model_versions(model)
    session.printer.many(found["items"], VERSIONS)
