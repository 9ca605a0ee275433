"""The entries of the chart's values, which only Beat is given."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from millrace_contracts.schedules import ScheduleEntry, TaskTarget
from millrace_worker.errors import ScheduleInvalid, SettingsInvalid
from millrace_worker.results import KINDS_WITHOUT_EXPIRY
from millrace_worker.schedule import moments
from millrace_worker.settings import WorkerSettings

LOCK_SECONDS: Final = 30
"""Of the replica that sends: another one takes over within this time."""

TICK_SECONDS: Final = 5
"""The longest between two looks at the schedule."""

CLEANUP_NAME: Final = "millrace-results-cleanup"


def schedule_of(settings: WorkerSettings) -> list[ScheduleEntry]:
    """Answer what Beat sends by itself: the chart's entries, and Celery's own where old results must be deleted."""
    entries = list(read_entries(settings.beat_schedule_file))
    if settings.beat_schedule_file is not None and settings.result_backend_kind in KINDS_WITHOUT_EXPIRY:
        task = TaskTarget(name="celery.backend_cleanup", queue=settings.system_queue)
        entries.append(ScheduleEntry(name=CLEANUP_NAME, cron="0 4 * * *", task=task))
    return entries


def read_entries(file: Path | None) -> Sequence[ScheduleEntry]:
    """Read and check the list; without a file there is none."""
    if file is None:
        return ()
    try:
        values: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsInvalid(f"MILLRACE_BEAT_SCHEDULE_FILE {file} cannot be read: {error}") from error
    if not isinstance(values, list):
        raise SettingsInvalid(f"MILLRACE_BEAT_SCHEDULE_FILE {file} must hold a list")
    entries = [_entry(value) for value in values]
    twice = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if twice:
        raise SettingsInvalid(f"schedules need names of their own; more than one is called {', '.join(twice)}")
    return entries


def _entry(value: Any) -> ScheduleEntry:
    name = value.get("name", "?") if isinstance(value, dict) else "?"
    try:
        entry = ScheduleEntry.model_validate(value)
        moments.check(entry)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}".removeprefix(": ")
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsInvalid(f'schedule "{name}": {problems}') from error
    except ScheduleInvalid as error:
        raise SettingsInvalid(str(error)) from error
    return entry
