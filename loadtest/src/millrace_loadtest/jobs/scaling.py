"""Two workers against one: the same job, the same Triton, in turn.

With a model that computes elsewhere (as on an accelerator, or on another machine) Triton and the cores here allow the
double. With one that computes on these very cores they do not: then the raw `tritonclient` loop with one and with two
processes, in the same run, shows what they allow.
"""

import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from millrace_contracts.tasks import Batching
from millrace_loadtest.jobs import inputs, part
from millrace_loadtest.jobs.models import BUSY, WAITING
from millrace_loadtest.jobs.raw_loop import Loop, records_a_second
from millrace_loadtest.jobs.stand import SYSTEM, Stand, stand
from millrace_loadtest.live.progress import say

POOL: Final = "scaling"
BATCH: Final = 128
IN_FLIGHT: Final = 4
BATCHING: Final = Batching(records_per_task=2048, max_batch_size=BATCH, max_in_flight_requests=IN_FLIGHT)
REQUEST_SECONDS: Final = 0.15
RECORDS: Final = {WAITING: 60_000, BUSY: 200_000}
TURNS: Final = 3


def measure(folder: Path) -> dict[str, Any]:
    """Measure both models."""
    with stand(folder, waiting_seconds=REQUEST_SECONDS) as bench:
        for model, count in RECORDS.items():
            inputs.write_jsonl(bench.claim / f"{model}.jsonl", count)
        with bench.running("system", queue=SYSTEM), bench.running("first", queue=POOL):
            waiting = _compared(bench, WAITING)
            busy = _compared(bench, BUSY)
    return {
        **{f"waiting_{name}": value for name, value in waiting.items()},
        **{f"busy_{name}": value for name, value in busy.items()},
        "cores_bound_ratio": round(busy["two_against_one"] / busy["raw_two_against_one"], 2),
    }


def _compared(bench: Stand, model: str) -> dict[str, float]:
    """Answer the records a second of one and two workers, and of one and two raw loops, each the median of turns."""
    loop = Loop(url=bench.triton_url, model=model, records=RECORDS[model] // 2, batch=BATCH, in_flight=IN_FLIGHT)
    _job(bench, model)
    rates: dict[str, list[float]] = {"one": [], "two": [], "raw_one": [], "raw_two": []}
    for turn in range(1, TURNS + 1):
        rates["raw_one"].append(records_a_second(loop, processes=1))
        rates["raw_two"].append(records_a_second(loop, processes=2))
        rates["one"].append(_job(bench, model))
        with ExitStack() as second:
            second.enter_context(bench.running("second", queue=POOL))
            rates["two"].append(_job(bench, model))
        say(f"{model}, turn {turn}: " + ", ".join(f"{name} {each[-1]:.0f}/s" for name, each in rates.items()))
    told = {f"{name}_records_per_second": round(statistics.median(each)) for name, each in rates.items()}
    return {
        **told,
        "two_against_one": _ratio(rates["two"], rates["one"]),
        "raw_two_against_one": _ratio(rates["raw_two"], rates["raw_one"]),
    }


def _ratio(two: list[float], one: list[float]) -> float:
    """Answer the median of the turns' own ratios: what else the machine did met both of a turn."""
    return round(statistics.median(a / b for a, b in zip(two, one, strict=True)), 2)


def _job(bench: Stand, model: str) -> float:
    job = bench.submit(bench.file(f"{model}.jsonl"), queue=POOL, model=model, batching=BATCHING)
    job.wait()
    return job.records_a_second()


if __name__ == "__main__":
    part.main(measure, name="scaling")
