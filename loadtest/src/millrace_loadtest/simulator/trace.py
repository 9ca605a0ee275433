"""Read a recorded load from CSV: when each task arrived and, if known, how long it took."""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from millrace_loadtest.errors import InputError
from millrace_loadtest.simulator.expression import Expression
from millrace_loadtest.simulator.workload import Workload, replayed_workload

Cells = Mapping[str, str]
ServiceTime = Callable[[Cells], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceTimes:
    """Where the time of a task comes from: exactly one of three."""

    seconds: float | None = None
    column: str | None = None
    expression: str | None = None


def read_trace(
    path: Path, *, service: ServiceTimes, timestamp_column: str | None = None, smooth_seconds: float = 30.0
) -> Workload:
    """Read a trace; arrivals may be in any order, as several machines write them."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            tasks = sorted(_tasks(csv.DictReader(file), service, timestamp_column))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path} is no CSV: {error}") from error
    if not tasks:
        raise InputError(f"{path} has no task; a trace needs a header and a line for each task")
    first = tasks[0][0]
    return replayed_workload(
        [at - first for at, _ in tasks], [seconds for _, seconds in tasks], smooth_seconds=smooth_seconds
    )


def _tasks(
    table: "csv.DictReader[str]", service: ServiceTimes, timestamp_column: str | None
) -> Iterator[tuple[float, float]]:
    header = list(table.fieldnames or ())
    if not header:
        raise InputError("the trace is empty; its first line must name the columns")
    column = _existing(timestamp_column or header[0], header)
    service_time = _service_time(service, header)
    for cells in table:
        try:
            yield _moment(cells[column]), _duration(service_time(cells))
        except (ValueError, TypeError, ArithmeticError) as error:
            raise InputError(f"line {table.line_num} of the trace: {error}") from error


def _service_time(service: ServiceTimes, header: Sequence[str]) -> ServiceTime:
    if service.expression is not None:
        expression = Expression(service.expression)
        columns = [_existing(name, header) for name in expression.columns]
        return lambda cells: expression({name: _number(cells[name], name) for name in columns})
    if service.column is not None:
        column = _existing(service.column, header)
        return lambda cells: _number(cells[column], column)
    if service.seconds is None:
        raise InputError("how long does a task take? give --service-seconds, --service-column or --service-expression")
    seconds = service.seconds
    return lambda _: seconds


def _existing(column: str, header: Sequence[str]) -> str:
    if column not in header:
        raise InputError(f"the trace has no column {column!r}; it has {', '.join(map(repr, header))}")
    return column


def _moment(text: str | None) -> float:
    """Read seconds or an ISO 8601 time; one without a zone is taken as UTC, as only differences count."""
    if not text or not text.strip():
        raise ValueError("the time is missing")
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ValueError(f"{text!r} is neither a number of seconds nor an ISO time") from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(f"{text!r} is no time")
    return seconds


def _number(text: str | None, column: str) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise ValueError(f"{column} is {text!r}, which is no number") from None


def _duration(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"the task would take {seconds:g} s; it must be more than 0")
    return seconds
