"""`millrace schedule`: what Beat sends, and when."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from millrace.cli.confirmation import confirm
from millrace.cli.errors import UsageInvalid
from millrace.cli.output import View
from millrace.cli.pipelines import named_values
from millrace.cli.session import Session, command
from millrace.cli.times import moment

app = typer.Typer(name="schedule", help="Schedules: tasks, pipelines and jobs at their times.", no_args_is_help=True)


def when(entry: Mapping[str, Any]) -> str:
    """Write the time of an entry."""
    if entry.get("cron"):
        return f"{entry['cron']} {entry.get('timeZone', 'UTC')}"
    return f"every {entry.get('everySeconds'):g} s"


def what(entry: Mapping[str, Any]) -> str:
    """Write what an entry sends."""
    if entry.get("pipeline"):
        return f"pipeline {entry['pipeline']['name']}"
    if entry.get("jobTemplate"):
        return f"job {entry['jobTemplate']['metadata']['name']}-*"
    task = entry.get("task") or {}
    return f"task {task.get('name')} to {task.get('queue')}"


VIEW = View(
    kind="schedule",
    nothing="There are no schedules.",
    columns={
        "NAME": lambda item: item["name"],
        "WHEN": when,
        "WHAT": what,
        "ENABLED": lambda item: item.get("enabled", True),
        "LAST RUN": lambda item: moment(item.get("lastRunAt")),
        "NEXT RUN": lambda item: moment(item.get("nextRunAt")),
        "RUNS": lambda item: item.get("totalRuns"),
        "FROM": lambda item: item.get("origin"),
    },
)
Name = Annotated[str, typer.Argument(help="Name of the schedule.")]


@command(app, "list", example="millrace schedule list")
def list_schedules(session: Session) -> None:
    """List the schedules, those of the chart's values too."""
    session.printer.many(session.admin.schedules(), VIEW)


@command(
    app,
    "create",
    example='millrace schedule create nightly --cron "0 3 * * *" --time-zone Europe/Berlin --pipeline recommender',
)
def create(
    session: Session,
    name: Name,
    *,
    cron: Annotated[str | None, typer.Option("--cron", help="Five fields, as in Debian's cron.")] = None,
    time_zone: Annotated[str | None, typer.Option("--time-zone", help="Of --cron, such as Europe/Berlin.")] = None,
    every: Annotated[float | None, typer.Option("--every", min=1, help="Seconds between two runs.")] = None,
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="Run this pipeline.")] = None,
    job: Annotated[
        Path | None, typer.Option("--job", help="Make a PredictionJob from this manifest (YAML or JSON).")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="Send this Celery task; needs --queue.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Queue of --task.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE for the pipeline or the task.")
    ] = None,
) -> None:
    """Create a schedule, or replace one that was created so. It stays when the chart is upgraded."""
    entry: dict[str, Any] = {"name": name, "cron": cron, "timeZone": time_zone, "everySeconds": every}
    entry |= _target(pipeline=pipeline, job=job, task=task, queue=queue, values=named_values(parameter or []))
    saved = session.admin.save_schedule({key: value for key, value in entry.items() if value is not None})
    session.printer.done(saved, VIEW, f"Schedule {name} runs {when(saved)}, next {moment(saved.get('nextRunAt'))}.")
    if hint := saved.get("hint"):
        session.printer.say(f"Note: {hint}.")


@command(app, "delete", example="millrace schedule delete nightly --yes")
def delete(
    session: Session, name: Name, *, is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> None:
    """Delete a schedule that was created at run time; those of the chart's values are removed there."""
    confirm(f"Delete schedule {name!r}?", is_sure=is_sure)
    session.admin.remove_schedule(name)
    session.printer.done({"name": name}, VIEW, f"Schedule {name} is deleted.")


@command(app, "pause", example="millrace schedule pause nightly")
def pause(session: Session, name: Name) -> None:
    """Let a schedule rest until it is resumed."""
    session.printer.done(session.admin.switch_schedule(name, is_enabled=False), VIEW, f"Schedule {name} is paused.")


@command(app, "resume", example="millrace schedule resume nightly")
def resume(session: Session, name: Name) -> None:
    """Let a paused schedule go on; runs that were missed are not made up for."""
    switched = session.admin.switch_schedule(name, is_enabled=True)
    session.printer.done(switched, VIEW, f"Schedule {name} goes on, next {moment(switched.get('nextRunAt'))}.")


@command(app, "run", example="millrace schedule run nightly")
def run(session: Session, name: Name) -> None:
    """Send now what a schedule sends, beside its own times."""
    sent = session.admin.run_schedule(name)
    session.printer.done({"name": name, **sent}, VIEW, f"Task {sent['taskId']} is sent to queue {sent['queue']}.")


def _target(
    *, pipeline: str | None, job: Path | None, task: str | None, queue: str | None, values: dict[str, Any]
) -> dict[str, Any]:
    if sum(each is not None for each in (pipeline, job, task)) != 1:
        raise UsageInvalid("give exactly one of --pipeline, --job and --task")
    if (task is None) != (queue is None):
        raise UsageInvalid("--task and --queue belong together")
    if pipeline is not None:
        return {"pipeline": {"name": pipeline, "parameters": values}}
    if job is not None:
        return {"jobTemplate": _template(job)}
    return {"task": {"name": task, "queue": queue, "kwargs": values}}


def _template(file: Path) -> dict[str, Any]:
    try:
        manifest = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageInvalid(f"{file} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("kind", "PredictionJob") != "PredictionJob":
        raise UsageInvalid(f"{file} must hold one PredictionJob")
    metadata = manifest.get("metadata") or {}
    kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if key in metadata}
    return {"metadata": kept, "spec": manifest.get("spec") or {}}
