"""Plan ten million records with the real plan task, RabbitMQ and Redis: how long it takes, and how much memory.

The plan runs in a worker of the system pool that planned something small before, so that what it needs once is there.
Its memory is the peak of the process that does the work, above what it had when the plan came. Nobody takes the shards.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from millrace_contracts.inputs import Reading, RecordFormat
from millrace_contracts.ledger import Field, State
from millrace_contracts.tasks import Batching
from millrace_loadtest.jobs import inputs, part
from millrace_loadtest.jobs.models import BUSY, WIDTH
from millrace_loadtest.jobs.stand import SYSTEM, Job, JobStopped, Stand, stand
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.watching import now
from millrace_loadtest.pipeline.servers import Program, wait_for

SMALL: Final = 1_000_000
LARGE: Final = 10_000_000
RECORDS_PER_TASK: Final = 512
POOL: Final = "nobody"
LEAST_MIB: Final = 4.0
"""Below this, growth is what an allocator does, and a ratio of two such figures says nothing."""
Write = Callable[[Path, int], None]
FORMATS: Final[dict[RecordFormat, tuple[str, Write]]] = {
    RecordFormat.JSONL: ("jsonl", inputs.write_jsonl),
    RecordFormat.PARQUET: ("parquet", inputs.write_parquet),
}


def measure(folder: Path) -> dict[str, Any]:
    """Plan each format, small and large."""
    figures: dict[str, Any] = {"records": LARGE, "records_per_task": RECORDS_PER_TASK}
    with stand(folder, waiting_seconds=None) as bench:
        for record_format, (name, write) in FORMATS.items():
            small = _planned(bench, record_format, write, count=SMALL)
            large = _planned(bench, record_format, write, count=LARGE)
            growth = large["growth_mib"] / max(LEAST_MIB, small["growth_mib"])
            figures |= {f"{name}_{key}": value for key, value in large.items()}
            figures |= {f"{name}_small_{key}": value for key, value in small.items()}
            figures[f"{name}_growth_large_to_small"] = round(growth, 2)
    return figures


def _planned(bench: Stand, record_format: RecordFormat, write: Write, *, count: int) -> dict[str, float]:
    """Plan one file in a worker of its own, so that no plan finds the memory of another."""
    file = bench.claim / f"{count}.{record_format.lower()}"
    say(f"writing {count:,} records as {record_format}")
    write(file, count)
    name = f"system-{count}-{record_format.lower()}"
    try:
        with bench.running(name, queue=SYSTEM) as (worker,):
            warm = bench.submit(bench.inline(["warm"], [0.0] * WIDTH), queue=POOL, model=BUSY)
            _dispatched(warm)
            memory = Memory(_slot(worker))
            began = now()
            job = bench.submit(
                bench.file(file.name),
                queue=POOL,
                model=BUSY,
                reading=Reading(format=record_format, key_field=inputs.KEY_FIELD),
                batching=Batching(records_per_task=RECORDS_PER_TASK),
            )
            _dispatched(job)
            seconds = now() - began
            growth = memory.growth_mib()
        megabytes = file.stat().st_size / 1e6
    finally:
        file.unlink(missing_ok=True)
    _check(job, count)
    say(f"{record_format}, {count:,} records, {megabytes:.0f} MB: {seconds:.2f} s, {growth:.1f} MiB more")
    return {"seconds": round(seconds, 2), "growth_mib": round(growth, 1), "megabytes": round(megabytes)}


def _dispatched(job: Job) -> None:
    def is_dispatched() -> bool:
        fields = job.fields
        if Field.STOP_REASON in fields:
            raise JobStopped(f"{fields[Field.STOP_REASON]}: {fields.get(Field.STOP_MESSAGE, '')}")
        return fields.get(Field.STATE) == State.DISPATCHED

    wait_for(is_dispatched, what="the plan", limit_seconds=300)


def _check(job: Job, count: int) -> None:
    fields = job.fields
    found = int(fields[Field.TOTAL]), int(fields[Field.SHARDS_TOTAL])
    # Shards may end at the ends of files' own blocks too, so there can be a few more than the fewest.
    if found[0] != count or not count / RECORDS_PER_TASK <= found[1] <= count / RECORDS_PER_TASK * 1.1 + 1:
        raise JobStopped(f"the plan found {found[0]} records in {found[1]} shards, and the file has {count}")


def _slot(worker: Program) -> int:
    """Answer the process that runs the worker's tasks."""
    if worker.process is None:
        raise JobStopped("the worker of the system pool does not run")
    pid = worker.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


class Memory:
    """The peak of a process's memory from now on, above what it has now."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        # 5 sets the peak back to what is held now.
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def growth_mib(self) -> float:
        """Answer how much it has grown at most."""
        return (self._read("VmHWM") - self._before) / 1024

    def _read(self, name: str) -> int:
        line = next(line for line in self._status.read_text().splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1])


if __name__ == "__main__":
    part.main(measure, name="planning")
