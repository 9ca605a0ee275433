"""What happens to the ledger of one job, step by step, and a Redis of one's own to see it in."""

# ruff: noqa: D102 - the methods of Tasks are named after the scripts, which the contract documents

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from containers import Container, free_port
from redis import Redis

from millrace_contracts import ledger, ledger_scripts
from millrace_contracts.errors import JobFailure, RecordError
from millrace_contracts.tasks import FailureBudget
from millrace_worker.ledger import FailureTally, Finished, Ledger, ShardCounts

RECORDS_PER_SHARD = 10


@contextmanager
def running_redis() -> Iterator[int]:
    """Start a Redis and answer its port on 127.0.0.1."""
    container = Container(
        image="millrace/redis:8",
        ports={6379: free_port()},
        command=["redis-server", "--protected-mode", "no", "--save", ""],
    )
    container.create()
    try:
        container.wait_for("redis-cli", "ping")
        yield container.ports[6379]
    finally:
        container.remove()


class Tasks:
    """What workers do to the ledger of one job, and what the operator does to it by the contract's scripts alone."""

    def __init__(self, client: Redis, *, shards: int = 3, uid: str = "job-1", window: int = 100) -> None:
        self.client, self.uid, self.shards, self.window = client, uid, shards, window
        self.job = ledger.job_key(uid)
        self.ledger = Ledger(client, now=lambda: 4.0)

    def submit(self, *, epoch: int = 0) -> int:
        return self.run(ledger_scripts.SUBMIT, [self.job, ledger.JOBS_KEY], [self.uid, "ns", "name", "1.0", epoch])

    def begin_dispatch(self, **budget: int) -> int | None:
        return self.ledger.begin_dispatch(
            self.uid,
            total=self.shards * RECORDS_PER_SHARD,
            shards_total=self.shards,
            output_uri="uri",
            window=self.window,
            budget=FailureBudget(**budget),
        )

    def give_out(self, *, epoch: int = 0) -> list[int]:
        return self.ledger.give_out(self.uid, count=self.window, epoch=epoch)

    def end_dispatch(self, *, epoch: int = 0) -> None:
        self.ledger.end_dispatch(self.uid, epoch=epoch)

    def begin(self, shard: int, *, epoch: int = 0) -> str:
        return self.ledger.begin_shard(self.uid, shard, records=RECORDS_PER_SHARD, epoch=epoch).verdict

    def release(self, shard: int, waiting_for: str = "Triton is away") -> None:
        self.ledger.release_shard(self.uid, shard, waiting_for=waiting_for)

    def finish(self, shard: int, *, failed: int = 0, epoch: int | None = None, **more: Any) -> Finished:
        tally = FailureTally(count=failed, message="wrong shape", key=f"k{shard}")
        counts = ShardCounts(
            planned=RECORDS_PER_SHARD,
            succeeded=RECORDS_PER_SHARD - failed,
            failed=failed,
            model_version="1",
            failures={RecordError.INVALID_RECORD: tally} if failed else {},
        )
        return self.ledger.finish_shard(self.uid, shard, replace(counts, **more), epoch=epoch)

    def finalize(self) -> bool:
        return self.ledger.finalized(self.uid, manifest_uri="manifest")

    def stop(self, reason: JobFailure = JobFailure.CANCELLED) -> bool:
        return self.ledger.stop(self.uid, reason=reason, message="because")

    def suspend(self) -> int:
        return self.run(ledger_scripts.SUSPEND, [self.job], [])

    def dispatch_anew(self) -> int:
        return self.run(ledger_scripts.DISPATCH_ANEW, [self.job, ledger.feeds_key(self.uid)], [])

    def read(self, *names: str) -> list[str | None]:
        values: Any = self.client.hmget(self.job, names)
        return list(values)

    def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:
        return self.client.eval(script, len(keys), *keys, *arguments)

    def dispatched(self, **budget: int) -> "Tasks":
        """Bring the job to where its first shards wait in the queue."""
        self.submit()
        self.begin_dispatch(**budget)
        self.give_out()
        self.end_dispatch()
        return self
