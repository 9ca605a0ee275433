"""`millrace jobs`: PredictionJobs, from their state to their results."""

import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from millrace.cli.confirmation import confirm
from millrace.cli.errors import OutcomeFailed, UsageInvalid
from millrace.cli.job_files import files_uri, result_lines
from millrace.cli.job_logs import job_lines, shown_line
from millrace.cli.job_progress import follow
from millrace.cli.job_view import PLURAL, VIEW, job_details, job_view
from millrace.cli.session import Session, command
from millrace.errors import NotFound, Refused, TimedOut

app = typer.Typer(name="jobs", help="PredictionJobs: bounded sets of records.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the PredictionJob.")]


@command(app, "list", example="millrace jobs list -A")
def list_jobs(
    session: Session,
    *,
    is_everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look into all namespaces.")] = False,
) -> None:
    """List the jobs with how far they are."""
    found = session.cluster.list_all(PLURAL, is_everywhere=is_everywhere)
    session.printer.many([job_view(each) for each in found], VIEW)


@command(app, "show", example="millrace jobs show digits")
def show(session: Session, name: Name) -> None:
    """Show what is known of a job, with the reasons of failed records and where its results are."""
    session.printer.one(job_view(session.cluster.get(PLURAL, name)), VIEW, details=job_details)


@command(app, "wait", example="millrace jobs wait digits --timeout 600")
def wait(
    session: Session,
    name: Name,
    *,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds; 0 waits for ever.")] = 0.0,
) -> None:
    """Wait until a job has ended, with a progress bar. Ends with 1 when it failed, with 124 when time is up."""
    view = follow(session.cluster, name, printer=session.printer, timeout_seconds=timeout or None)
    if not view["finished"]:
        raise TimedOut(f"job {name!r} is still {view['state']} ({view['progress']}); it goes on")
    session.printer.one(view, VIEW, details=job_details)
    if view["succeeded"] is False:
        raise OutcomeFailed(f"job {name!r} did not succeed: {view['message'] or view['reason']}")


@command(app, "results", example="millrace jobs results digits --failed > failed.jsonl")
def results(
    session: Session,
    name: Name,
    *,
    is_failed: Annotated[bool, typer.Option("--failed", help="The records that failed, and why.")] = False,
) -> None:
    """Write a job's results as lines of JSON, wherever they are; of those in Kafka only say where.

    A pod of the system pool reads files on claims and in object stores; that needs `create` of pods/exec.
    """
    job = session.cluster.get(PLURAL, name)
    output = job["spec"]["output"]
    if "redis" in output:
        _stream(session.admin.job_results(job["metadata"]["uid"], outcome="failed" if is_failed else "succeeded"))
    elif uri := files_uri(output):
        for line in result_lines(session.cluster, uri, is_failed=is_failed):
            sys.stdout.write(line + "\n")
    else:
        session.printer.say(_elsewhere(output, is_failed=is_failed))
        session.printer.record({"output": output, "status": job.get("status", {}).get("output") or {}})


@command(app, "cancel", example="millrace jobs cancel digits --yes")
def cancel(
    session: Session,
    name: Name,
    *,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Cancel a job: the object is deleted, tasks that wait do nothing, and results that are written stay."""
    job = session.cluster.get(PLURAL, name)
    view = job_view(job)
    if view["finished"]:
        raise UsageInvalid(
            f"job {name!r} has ended ({view['state']}); there is nothing to cancel. "
            f"`kubectl delete pjob {name}` removes the object"
        )
    confirm(f"Cancel job {name!r} ({view['progress']} records done) and delete the object?", is_sure=is_sure)
    session.cluster.delete(PLURAL, job)
    session.printer.done(view, VIEW, f"Job {name!r} is cancelled.")


@command(app, "delete", example="millrace jobs delete digits --yes")
def delete(
    session: Session,
    name: Name,
    *,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a job, whatever its state. Results that are written stay, but for those in Redis, which run out."""
    job = session.cluster.get(PLURAL, name)
    view = job_view(job)
    cancels = "" if view["finished"] else f" It is {view['state']}, and ends with it."
    confirm(f"Delete job {name!r}?{cancels}", is_sure=is_sure)
    session.cluster.delete(PLURAL, job)
    session.printer.done(view, VIEW, f"Job {name!r} is deleted.")


@command(app, "suspend", example="millrace jobs suspend digits")
def suspend(session: Session, name: Name) -> None:
    """Let a job rest: tasks that run finish, no other begins, and nothing that is done is lost."""
    _switch(session, name, is_suspended=True)


@command(app, "resume", example="millrace jobs resume digits")
def resume(session: Session, name: Name) -> None:
    """Let a suspended job go on with what is not done."""
    _switch(session, name, is_suspended=False)


def _switch(session: Session, name: str, *, is_suspended: bool) -> None:
    job = session.cluster.get(PLURAL, name)
    view = job_view(job)
    word = "suspended" if is_suspended else "resumed"
    if view["finished"]:
        raise Refused(f"job {name!r} has ended ({view['state']}); it cannot be {word}", code="JobEnded")
    if view["suspend"] is is_suspended:
        session.printer.done(view, VIEW, f"Job {name!r} is {'suspended already' if is_suspended else 'not suspended'}.")
        return
    changed = session.cluster.patch(PLURAL, job, {"suspend": is_suspended})
    session.printer.done(job_view(changed), VIEW, f"Job {name!r} is {word}.")


@command(app, "logs", example="millrace jobs logs digits --since 3600")
def logs(
    session: Session,
    name: Name,
    *,
    since: Annotated[int, typer.Option("--since", min=0, help="Seconds to look back; 0 is from the start.")] = 0,
) -> None:
    """Show what workers logged about a job, oldest first. Pods that are gone have taken their logs with them."""
    job = session.cluster.get(PLURAL, name)
    found = 0
    for line in job_lines(session.cluster, job, since_seconds=since or None):
        found += 1
        if session.printer.is_for_people:
            sys.stdout.write(shown_line(line) + "\n")
        else:
            session.printer.record(line)
    if not found:
        session.printer.say(f"No pod that is there now has logged anything about job {name!r}.")


def _stream(items: Iterator[dict[str, Any]]) -> None:
    for item in items:
        sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")


def _elsewhere(output: dict[str, Any], *, is_failed: bool) -> str:
    if "kafka" in output:
        topic = output["kafka"].get("errorsTopic") if is_failed else None
        return f"Results are messages of Kafka topic {topic or output['kafka']['topic']!r}."
    raise NotFound("this version of millrace does not know where the job's results are; see `millrace jobs show`")
