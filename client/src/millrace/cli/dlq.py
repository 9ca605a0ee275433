"""`millrace dlq`: messages that a pool's queue gave up, and what to do with them."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from millrace.cli.confirmation import confirm
from millrace.cli.errors import UsageInvalid
from millrace.cli.output import View
from millrace.cli.session import Session, command
from millrace.cli.times import moment

app = typer.Typer(name="dlq", help="Dead letters: messages that a queue gave up.", no_args_is_help=True)
MOST_LETTERS = 1000
MOST_OF_A_BODY = 60


def about(item: Mapping[str, Any]) -> str:
    """Say which record the letter is, where a worker said so; else how the message begins."""
    if record := item.get("record"):
        line = "" if record["line"] is None else f", line {record['line']}"
        return f"{record['job']}: {record['key'] or 'shard ' + str(record['shard'])}{line}"
    return f"{item['bodyPreview'][:MOST_OF_A_BODY]}{'…' if item['bodyBytes'] > MOST_OF_A_BODY else ''}"


QUEUES = View(
    kind="queue",
    name=lambda item: item["queue"],
    nothing="The gateway knows no pools.",
    columns={
        "QUEUE": lambda item: item["queue"],
        "DEAD LETTERS": lambda item: "no queue yet" if item["deadLetters"] is None else item["deadLetters"],
    },
)
LETTERS = View(
    kind="deadletter",
    name=lambda item: item["id"],
    nothing="There are no dead letters.",
    columns={
        "TASK ID": lambda item: item["id"],
        "TASK": lambda item: item["task"],
        "REASON": lambda item: item["reason"],
        "DEATHS": lambda item: item["deaths"],
        "REDRIVEN": lambda item: item["redriven"],
        "DIED": lambda item: moment(item["diedAt"]),
        "ABOUT": about,
    },
)
DONE = View(kind="queue", name=lambda item: item["queue"], columns={})

Queue = Annotated[str, typer.Argument(help="Name of the work queue.")]
TaskId = Annotated[str | None, typer.Option("--task-id", help="Only the letter of this task.")]
Everything = Annotated[bool, typer.Option("--all", help="All letters of the queue.")]


@command(app, "list", example="millrace dlq list")
def list_queues(session: Session) -> None:
    """List the queues with the number of their dead letters."""
    session.printer.many(session.admin.dead_letter_queues(), QUEUES)


@command(app, "show", example="millrace dlq show digits --limit 5 -o json")
def show(
    session: Session,
    queue: Queue,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_LETTERS, help="Letters, oldest first.")] = 20,
) -> None:
    """Look at the oldest dead letters of a queue; they stay where they are."""
    session.printer.many(session.admin.dead_letters(queue, limit=limit), LETTERS)


@command(app, "redrive", example="millrace dlq redrive digits --all")
def redrive(session: Session, queue: Queue, *, task_id: TaskId = None, is_all: Everything = False) -> None:
    """Send dead letters to work again: one task's, or all that are there now."""
    _check(task_id, is_all=is_all)
    if task_id is not None:
        done = session.admin.redrive(queue, task_id=task_id, limit=MOST_LETTERS)
        _tell(session, queue, "redriven", int(done["redriven"]), words="sent to work again")
        return
    counts = {each["queue"]: each["deadLetters"] or 0 for each in session.admin.dead_letter_queues()}
    sent = 0
    # As often as what is there now needs: letters that die again are not sent in circles.
    for _ in range(1 + counts.get(queue, 0) // MOST_LETTERS):
        redriven = int(session.admin.redrive(queue, task_id=None, limit=MOST_LETTERS)["redriven"])
        sent += redriven
        if redriven < MOST_LETTERS:
            break
    _tell(session, queue, "redriven", sent, words="sent to work again")


@command(app, "purge", example="millrace dlq purge digits --all --yes")
def purge(
    session: Session,
    queue: Queue,
    *,
    task_id: TaskId = None,
    is_all: Everything = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Throw dead letters away for good: one task's, or all."""
    _check(task_id, is_all=is_all)
    what = f"the dead letter of task {task_id!r}" if task_id else f"all dead letters of {queue!r}"
    confirm(f"Throw away {what}? This cannot be undone.", is_sure=is_sure)
    done = session.admin.purge(queue, task_id=task_id)
    _tell(session, queue, "purged", int(done["purged"]), words="thrown away")


def _check(task_id: str | None, *, is_all: bool) -> None:
    if (task_id is not None) == is_all:
        raise UsageInvalid("say which letters: --all or --task-id ID")


def _tell(session: Session, queue: str, verb: str, count: int, *, words: str) -> None:
    letters = "1 dead letter" if count == 1 else f"{count} dead letters"
    session.printer.done({"queue": queue, verb: count}, DONE, f"{letters} of {queue} {words}.")
