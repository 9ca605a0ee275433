"""What Beat sends, and when: the entries of the chart's values and those that people add at run time.

Entries stand in Redis in RedBeat's layout, beside a field of ours that holds a `ScheduleEntry`. A tick is known by the
moment that the schedule names, never by the moment at which it was sent, so a tick that is sent twice has one name.
"""

import re
import zlib
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from millrace_contracts.payload import Payload

SHORTEST_JOB_INTERVAL_SECONDS: Final = 60
"""A job is named after the minute of its tick."""

NAME_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_. /-]{0,252}$"
LONGEST_JOB_NAME: Final = 63
"""Of a Kubernetes object whose name also becomes a label."""


class Origin(StrEnum):
    """Who owns an entry."""

    VALUES = "values"
    """The chart: changed and removed there only."""
    USER = "user"
    """People at run time: an upgrade of the chart leaves it as it is."""


class _Part(BaseModel):
    """Written in camelCase, as in the chart's values."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class TaskTarget(_Part):
    """Any Celery task."""

    name: str = Field(min_length=1, max_length=253)
    queue: str = Field(min_length=1, max_length=250)
    kwargs: dict[str, Any] = Field(default_factory=dict)


class PipelineTarget(_Part):
    """A run of a pipeline of the chart's values."""

    name: str = Field(min_length=1, max_length=253)
    parameters: dict[str, Any] = Field(default_factory=dict)


def _is_dns_label(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
        raise ValueError("lower case letters, digits and hyphens only, as in names of Kubernetes objects")
    return name


DnsLabel = Annotated[str, AfterValidator(_is_dns_label)]


class JobMetadata(_Part):
    """Of the jobs that are made; each is named `<name>-<minute of the tick since the epoch>`."""

    name: DnsLabel = Field(max_length=LONGEST_JOB_NAME - 10)
    namespace: DnsLabel | None = Field(default=None, max_length=63)
    """The namespace of the workers where it is not given."""
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class JobTemplate(_Part):
    """A PredictionJob without its kind; the API server checks `spec` when the job is made."""

    metadata: JobMetadata
    spec: dict[str, Any]


class ScheduleEntry(_Part):
    """One line of the schedule: a name, a time and what is to be done."""

    name: str = Field(pattern=NAME_PATTERN)
    cron: str | None = Field(default=None, min_length=1, max_length=200)
    """Five fields as in Debian's cron."""
    time_zone: str = Field(default="UTC", min_length=1, max_length=64)
    """IANA name for `cron`, such as Europe/Berlin."""
    every_seconds: float | None = Field(default=None, ge=1, le=31_536_000)
    enabled: bool = True
    task: TaskTarget | None = None
    pipeline: PipelineTarget | None = None
    job_template: JobTemplate | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_short_form(cls, values: Any) -> Any:
        """Read {task: "a.b", queue: q, kwargs: {...}} as {task: {name: "a.b", queue: q, kwargs: {...}}}."""
        if not isinstance(values, dict) or not isinstance(values.get("task"), str):
            return values
        rest = {key: value for key, value in values.items() if key not in {"task", "queue", "kwargs"}}
        target = {"name": values["task"], "kwargs": values.get("kwargs") or {}}
        if "queue" in values:
            target["queue"] = values["queue"]
        return rest | {"task": target}

    @model_validator(mode="after")
    def _one_time_and_one_target(self) -> Self:
        if (self.cron is None) == (self.every_seconds is None):
            raise ValueError("give exactly one of cron and everySeconds")
        if self.every_seconds is not None and "time_zone" in self.model_fields_set:
            raise ValueError("timeZone belongs to cron; everySeconds knows no time zone")
        targets = [target for target in (self.task, self.pipeline, self.job_template) if target is not None]
        if len(targets) != 1:
            raise ValueError("give exactly one of task, pipeline and jobTemplate")
        is_quick = self.every_seconds is not None and self.every_seconds < SHORTEST_JOB_INTERVAL_SECONDS
        if self.job_template is not None and is_quick:
            raise ValueError(f"a jobTemplate needs everySeconds of at least {SHORTEST_JOB_INTERVAL_SECONDS}")
        return self


class ScheduleState(_Part):
    """An entry and what became of it so far."""

    entry: ScheduleEntry
    origin: Origin
    last_run_at: float | None = None
    """Seconds since the epoch: the moment of the last tick that was sent; None before the first."""
    next_run_at: float | None = None
    """None while the entry is not enabled."""
    total_runs: int = 0


class SubmitJobTask(Payload):
    """Make a PredictionJob from a template, once for each tick."""

    schedule: str
    template: JobTemplate
    tick: int = Field(ge=0)
    """Seconds since the epoch."""

    @property
    def job_name(self) -> str:
        """The name of the tick's job: equal for the same tick, so that a second delivery finds the first one's job."""
        return f"{self.template.metadata.name}-{self.tick // 60}"


def run_id(schedule: str, tick: int) -> str:
    """Name what a tick starts: lower case letters, digits and hyphens only, as names of folders and tasks like them."""
    slug = re.sub(r"[^a-z0-9]+", "-", schedule.lower()).strip("-")[:100]
    # Two names must not become one.
    mark = "" if slug == schedule else f"-{zlib.crc32(schedule.encode()):08x}"
    return f"{slug}{mark}-{tick}"


class ScheduleKeys:
    """RedBeat's layout under a prefix of ours."""

    PREFIX: Final = "millrace:redbeat:"
    SCHEDULE: Final = f"{PREFIX}:schedule"
    """Sorted set of the keys of enabled entries by the moment of their next tick."""
    NAMES: Final = f"{PREFIX}:names"
    """Set of the names of all entries, enabled or not."""

    @staticmethod
    def entry(name: str) -> str:
        """Redis hash of one entry, with the fields of `ScheduleFields`."""
        return f"{ScheduleKeys.PREFIX}{name}"


class ScheduleFields:
    """Fields of an entry's hash."""

    ENTRY: Final = "entry"
    """ScheduleEntry as JSON."""
    DEFINITION: Final = "definition"
    """The same in RedBeat's words; the operator reads it to know what comes."""
    ORIGIN: Final = "origin"
    TIMING: Final = "timing"
    """When it is due, as text: the next tick is computed anew when this changes."""
    AFTER: Final = "after"
    """Ticks up to this moment are over: that of the last tick, or of the entry's last change of time."""
    LAST_RUN_AT: Final = "last_run_at"
    TOTAL_RUNS: Final = "total_runs"
    SENDING: Final = "sending"
    """"<tick>:<who>" while somebody sends a tick; what stays behind was left by a Beat that died in doing so."""
