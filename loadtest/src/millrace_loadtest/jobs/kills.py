"""Kill workers at 20 random moments of a job of 100,000 records: nothing is lost, nothing counts or stands twice.

Two workers of one slot each; chance says which of them is killed, with all its processes, and when in its shard's life.
It is started again at once. How often shards were begun is counted from what Redis says of their ledger's changes, so
that nothing depends on what a killed worker could still write down.
"""

import random
import threading
from pathlib import Path
from typing import Any, Final, Self

from tritonclient.grpc import InferenceServerClient

from millrace_contracts import ledger
from millrace_contracts.ledger import Field
from millrace_contracts.tasks import Batching
from millrace_loadtest.jobs import inputs, output, part
from millrace_loadtest.jobs.models import WAITING
from millrace_loadtest.jobs.stand import SYSTEM, Job, Stand, stand
from millrace_loadtest.live.progress import say
from millrace_loadtest.pipeline.servers import wait_for

RECORDS: Final = 100_000
KILLS: Final = 20
SEED: Final = 7
POOL: Final = "kills"
WORKERS: Final = ("first", "second")
BATCHING: Final = Batching(records_per_task=512, max_batch_size=64, max_in_flight_requests=1)
REQUEST_SECONDS: Final = 0.15
SHARD_SECONDS: Final = REQUEST_SECONDS * 8
"""Eight requests, one after the other."""
BEGUN: Final = "hincrby"


class Begins:
    """Counts how often shards of a job were begun, while its context is open."""

    def __init__(self, bench: Stand, uid: str) -> None:
        self._listener = bench.redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call] # redis has no types here
        self._channel = f"__keyspace@0__:{ledger.starts_key(uid)}"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.count = 0

    def __enter__(self) -> Self:
        self._listener.subscribe(self._channel)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._listener.close()

    def _listen(self) -> None:
        while True:
            told = self._listener.get_message(timeout=0.2)
            if told is not None:
                self.count += told["data"] == BEGUN
            elif self._ending.is_set():
                return


def measure(folder: Path) -> dict[str, Any]:
    """Run the job and its kills, and look at all that it left."""
    chance = random.Random(SEED)  # noqa: S311 - moments, not secrets
    with stand(folder, waiting_seconds=REQUEST_SECONDS, redis_options=("--notify-keyspace-events", "Kh")) as bench:
        inputs.write_jsonl(bench.claim / "in.jsonl", RECORDS)
        with bench.running("system", queue=SYSTEM):
            job = bench.submit(bench.file("in.jsonl"), queue=POOL, model=WAITING, batching=BATCHING)
            with Begins(bench, job.uid) as begins:
                kills = _kill(bench, job, chance)
                job.wait()
        return _figures(bench, job, kills=kills, begins=begins.count)


def _kill(bench: Stand, job: Job, chance: random.Random) -> int:
    kills = 0
    with bench.running(*WORKERS, queue=POOL) as workers:
        while kills < KILLS:
            # An idle worker that is killed proves nothing.
            wait_for(lambda: job.in_flight() == len(WORKERS) or job.has_ended(), what="both to work")
            if job.has_ended():
                say(f"the job ended after {kills} kills")
                return kills
            threading.Event().wait(chance.uniform(0.0, SHARD_SECONDS))
            victim = chance.randrange(len(WORKERS))
            workers[victim].kill()
            kills += 1
            say(f"kill {kills} of {KILLS}: the {WORKERS[victim]}; {job.number(Field.SUCCEEDED)} records are done")
            bench.start_again(workers[victim], WORKERS[victim])
        job.wait()
    return kills


def _figures(bench: Stand, job: Job, *, kills: int, begins: int) -> dict[str, Any]:
    fields, manifest = job.fields, output.read_manifest(job.output)
    parts = output.named_parts(manifest)
    seen = output.tally(inputs.keys(RECORDS), output.keys_of_parts(job.output, parts))
    redone = begins - int(fields[Field.SHARDS_TOTAL])
    counted = int(fields[Field.SUCCEEDED])
    with InferenceServerClient(bench.triton_url) as client:
        stats = client.get_inference_statistics(WAITING, as_json=True)["model_stats"][0]
    return {
        "records": RECORDS,
        "seed": SEED,
        "kills": kills,
        "lost": seen.lost,
        "twice": seen.twice + seen.strange,
        "miscounted": abs(RECORDS - counted) + int(fields[Field.FAILED]) + abs(RECORDS - int(fields[Field.TOTAL])),
        "stray_parts": output.stray_parts(job.output, parts),
        "wrong_in_manifest": abs(RECORDS - manifest["records"]["succeeded"]) + manifest["records"]["failed"],
        "shards": int(fields[Field.SHARDS_TOTAL]),
        "shards_redone": redone,
        "shards_redone_per_kill": round(redone / max(1, kills), 3),
        "records_inferred_again": int(stats["inference_count"]) - RECORDS,
        "seconds": round(float(fields[Field.FINALIZED_AT]) - float(fields[Field.FIRST_SHARD_AT]), 1),
    }


if __name__ == "__main__":
    part.main(measure, name="kills")
