"""One worker against the loop that somebody writes by hand: the same model, the same Triton, 4 requests in flight.

Three kinds of records: given (they are in memory, as those of an inline job), lines of a JSONL file, rows of a Parquet
file. The first is what the worker's own code does with a shard: encode, predict, write. The others are whole jobs of a
real worker, with its queue and its ledger, from the first shard's begin to the last one's end.

Two models: one that computes elsewhere, as on an accelerator, and takes as long for a request as one there would; and
one that computes on these very cores, so that client and Triton take them from each other. The thresholds are those of
the first. Every rate stands between two runs of the loop, and its ratio is that to their mean: what else the machine
does meets both.
"""

import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from millrace_contracts.inputs import InlineShard, Reading, RecordFormat, Shard
from millrace_contracts.outputs import ClaimOutput
from millrace_contracts.tasks import Batching, JobRef, JobSpec, ModelRef, ShardTask
from millrace_loadtest.jobs import inputs, part
from millrace_loadtest.jobs.models import BUSY, WAITING
from millrace_loadtest.jobs.raw_loop import Loop, records_a_second
from millrace_loadtest.jobs.stand import CLAIM, NAMESPACE, SYSTEM, Stand, stand
from millrace_loadtest.live.progress import say
from millrace_loadtest.live.watching import now
from millrace_worker.context import Context
from millrace_worker.settings import WorkerSettings
from millrace_worker.tasks.predict_shard import work_off

POOL: Final = "throughput"
WIDTH: Final = 32
"""Numbers of a record."""
BATCH: Final = 128
IN_FLIGHT: Final = 4
REQUEST_SECONDS: Final = 0.01
"""What the model that computes elsewhere takes for 128 records."""
SHARD: Final = 8192
BATCHING: Final = Batching(records_per_task=SHARD, max_batch_size=BATCH, max_in_flight_requests=IN_FLIGHT)
RECORDS: Final = 16 * SHARD
TURNS: Final = 3
FILES: Final = {RecordFormat.JSONL: "records.jsonl", RecordFormat.PARQUET: "records.parquet"}


Rate = Callable[[], float]
"""Runs once, and answers the records a second."""


@dataclass(frozen=True, slots=True)
class Given:
    """Records in memory, and the part of a worker that predicts them."""

    context: Context
    tasks: list[ShardTask]

    def records_a_second(self) -> float:
        """Encode, predict and write all of them."""
        gc.collect()
        gc.disable()
        began = now()
        for task in self.tasks:
            counts = work_off(task, self.context)
            if counts.failed:
                raise RuntimeError(f"{counts.failed} records failed: {counts.failures}")
        seconds = now() - began
        gc.enable()
        return RECORDS / seconds


def measure(folder: Path) -> dict[str, Any]:
    """Measure both models."""
    with stand(folder, waiting_seconds=REQUEST_SECONDS, width=WIDTH) as bench:
        inputs.write_jsonl(bench.claim / FILES[RecordFormat.JSONL], RECORDS, width=WIDTH)
        inputs.write_parquet(bench.claim / FILES[RecordFormat.PARQUET], RECORDS, width=WIDTH)
        with bench.running("system", queue=SYSTEM), bench.running("worker", queue=POOL):
            elsewhere = _compared(bench, WAITING)
            here = _compared(bench, BUSY)
    return {**elsewhere, **{f"busy_{name}": value for name, value in here.items()}}


def _compared(bench: Stand, model: str) -> dict[str, float]:
    """Answer the rates of one model, and the median of each turn's own ratios."""
    loop = Loop(url=bench.triton_url, model=model, records=RECORDS, batch=BATCH, in_flight=IN_FLIGHT, width=WIDTH)
    kinds: dict[str, Rate] = {
        "given": _given(bench, model).records_a_second,
        "jsonl": lambda: _job(bench, model, RecordFormat.JSONL),
        "parquet": lambda: _job(bench, model, RecordFormat.PARQUET),
    }
    for warm_up in kinds.values():
        warm_up()
    rates: dict[str, list[float]] = {"raw": [], **{kind: [] for kind in kinds}}
    ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
    before = records_a_second(loop, processes=1)
    for turn in range(1, TURNS + 1):
        for kind, run in kinds.items():
            rate, after = run(), records_a_second(loop, processes=1)
            rates[kind].append(rate)
            rates["raw"].append(after)
            ratios[kind].append(rate / statistics.mean((before, after)))
            before = after
        say(f"{model}, turn {turn}: " + ", ".join(f"{name} {each[-1]:.0f}/s" for name, each in rates.items()))
    medians = {f"{name}_records_per_second": round(statistics.median(each)) for name, each in rates.items()}
    return {**medians, **{f"{kind}_ratio": round(statistics.median(each), 2) for kind, each in ratios.items()}}


def _given(bench: Stand, model: str) -> Given:
    settings = WorkerSettings(
        broker_url=SecretStr(bench.rabbitmq.url),
        redis_url=SecretStr(bench.redis_server.url),
        queue=POOL,
        triton_url=bench.triton_url,
        claims_root=bench.claim.parent,
    )
    spec = JobSpec(
        job=JobRef(namespace=NAMESPACE, name=f"given-{model}", uid=f"given-{model}"),
        model=ModelRef(name=model),
        output=ClaimOutput(claim_name=CLAIM, path=f"out/given-{model}"),
        queue=POOL,
        reading=Reading(key_field=inputs.KEY_FIELD),
        batching=BATCHING,
    )
    bench.make_ledger(spec.job)
    tensors = inputs.values(WIDTH)
    records = [
        {inputs.KEY_FIELD: key, "x": tensors[number % len(tensors)]} for number, key in enumerate(inputs.keys(RECORDS))
    ]
    tasks = [
        ShardTask(
            spec=spec,
            shard=Shard(
                index=start // SHARD,
                first_line=start + 1,
                record_count=SHARD,
                source=InlineShard(records=records[start : start + SHARD]),
            ),
        )
        for start in range(0, RECORDS, SHARD)
    ]
    return Given(Context(settings=settings, app=bench.app), tasks)


def _job(bench: Stand, model: str, file_format: RecordFormat) -> float:
    reading = Reading(format=file_format, key_field=inputs.KEY_FIELD)
    job = bench.submit(bench.file(FILES[file_format]), queue=POOL, model=model, batching=BATCHING, reading=reading)
    job.wait()
    return job.records_a_second()


if __name__ == "__main__":
    part.main(measure, name="throughput")
