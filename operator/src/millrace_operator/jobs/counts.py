"""Count a job's records, and say how fast and how far it is. Pure.

At every moment succeeded + failed + pending + inFlight = total; `pending` is the remainder, so the sum cannot be
off. While the total is unknown (-1) nothing can be counted yet and all parts are zero.
"""

from dataclasses import dataclass
from typing import Any, Final

from millrace_operator.api.timestamps import to_rfc3339
from millrace_operator.jobs.pace import Pace
from millrace_operator.jobs.readings import LedgerReading

UNKNOWN_TOTAL: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCounts:
    """Where the records of a job are."""

    total: int
    succeeded: int = 0
    failed: int = 0
    in_flight: int = 0
    retried: int = 0
    cached: int = 0
    """Of the succeeded."""
    ignored: int = 0
    """Of the failed."""

    @property
    def done(self) -> int:
        """Records that have their result or their error."""
        return self.succeeded + self.failed

    @property
    def remaining(self) -> int:
        """Records without an outcome; zero while the total is unknown."""
        return max(0, self.total - self.done)

    @property
    def pending(self) -> int:
        """Records that no worker holds."""
        return self.remaining - self.in_flight

    def as_status(self) -> dict[str, int]:
        """Write the counts as `status.records`."""
        return {
            "total": self.total,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "pending": self.pending,
            "inFlight": self.in_flight,
            "retried": self.retried,
            "cached": self.cached,
            "ignored": self.ignored,
        }


def count_records(reading: LedgerReading | None, *, inline_count: int | None, has_ended: bool) -> RecordCounts:
    """Count from the ledger; before the plan ran, only inline input has a known total.

    An ended job holds nothing in flight: what was not done is pending for ever.
    """
    if reading is None or reading.total is None:
        return RecordCounts(total=UNKNOWN_TOTAL if inline_count is None else inline_count)
    total = max(reading.total, reading.done)
    return RecordCounts(
        total=total,
        succeeded=reading.succeeded,
        failed=reading.failed,
        in_flight=0 if has_ended else max(0, min(reading.in_flight, total - reading.done)),
        retried=reading.retried,
        cached=min(reading.cached, reading.succeeded),
        ignored=min(reading.ignored, reading.failed),
    )


def describe_progress(counts: RecordCounts) -> dict[str, Any]:
    """Write "256/540" and its percentage; a total that is not known yet shows as "0/?"."""
    total = "?" if counts.total == UNKNOWN_TOTAL else str(counts.total)
    percent = 100 * counts.done // counts.total if counts.total > 0 else 0
    return {"progress": f"{counts.done}/{total}", "percentComplete": percent}


def describe_speed(
    reading: LedgerReading, counts: RecordCounts, *, pace: Pace | None, now: float, is_running: bool
) -> dict[str, Any]:
    """Write the throughput of late and, while running, the time left; of an ended job the throughput of all of it.

    Nothing before the first shard is done. Measured up to the last progress, not up to now: a job that waits keeps its
    number instead of getting a new status each time.
    """
    until = reading.last_shard_at or reading.last_progress_at
    if reading.first_shard_at is None or until is None or counts.done == 0 or until <= reading.first_shard_at:
        return {}
    recent = pace.per_second(until, counts.done) if pace is not None and is_running else None
    per_second = recent or counts.done / (until - reading.first_shard_at)
    speed: dict[str, Any] = {"throughput": say_rate(per_second), "throughputRecordsPerSecond": round(per_second)}
    seconds_left = until + counts.remaining / per_second - now
    if is_running and counts.remaining and seconds_left >= 0:
        speed["eta"] = say_duration(seconds_left)
        speed["estimatedCompletionTime"] = to_rfc3339(now + seconds_left)
    return speed


def say_rate(per_second: float) -> str:
    """Write a rate for people: "1,204/s", "3.2/s", and per minute where a second sees less than one."""
    if per_second >= 10:  # noqa: PLR2004 - from here on a decimal place says nothing
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{per_second * 60:.1f}/min"


def say_duration(seconds: float) -> str:
    """Write a duration for people in its two largest units: "12s", "3m10s", "2h5m", "3d4h"."""
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{whole % 60}s" if minutes else f"{whole}s"
