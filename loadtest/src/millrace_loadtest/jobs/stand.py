"""What the parts stand on: servers in containers, workers as processes, and jobs submitted as the operator does it."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import redis
from celery import Celery
from pydantic import SecretStr

from millrace_contracts import ledger, ledger_scripts
from millrace_contracts.inputs import ClaimInput, InlineInput, Input, Reading
from millrace_contracts.ledger import Field, State
from millrace_contracts.outputs import ClaimOutput
from millrace_contracts.tasks import PLAN, Batching, JobRef, JobSpec, ModelRef, PlanTask
from millrace_loadtest.jobs.inputs import KEY_FIELD
from millrace_loadtest.jobs.models import WIDTH, write_models
from millrace_loadtest.live.progress import say
from millrace_loadtest.pipeline import servers
from millrace_loadtest.pipeline.servers import Program, wait_for
from millrace_worker import clock, topology
from millrace_worker.app import create_app
from millrace_worker.settings import WorkerSettings

CLAIM: Final = "data"
SYSTEM: Final = "system"
NAMESPACE: Final = "bench"
LIMIT_SECONDS: Final = 900.0
LOG_CHARACTERS: Final = 3000


class JobStopped(Exception):  # noqa: N818 - it says what happened
    """A job that was to succeed came to another end; the message says why."""


@dataclass
class Stand:
    """The servers, a claim, and a client of the broker."""

    rabbitmq: servers.Server
    redis_server: servers.Server
    triton_url: str
    folder: Path

    @property
    def claim(self) -> Path:
        """The folder of the only claim."""
        path = self.folder / "claims" / CLAIM
        path.mkdir(parents=True, exist_ok=True)
        return path

    @cached_property
    def redis(self) -> redis.Redis:
        """A client for what the parts look at."""
        return redis.Redis.from_url(self.redis_server.url, decode_responses=True)

    @cached_property
    def app(self) -> Celery:
        """A client of the broker, as the operator is one."""
        settings = WorkerSettings(
            broker_url=SecretStr(self.rabbitmq.url),
            redis_url=SecretStr(self.redis_server.url),
            queue=SYSTEM,
            state_dir=self.folder / "client",
        )
        return create_app(settings)

    def worker(self, name: str, *, queue: str, log_level: str = "WARNING") -> Program:
        """Describe a worker of one slot; plans and manifests are made by the one whose queue is SYSTEM."""
        environment = {
            "MILLRACE_BROKER_URL": self.rabbitmq.url,
            "MILLRACE_REDIS_URL": self.redis_server.url,
            "MILLRACE_TRITON_URL": self.triton_url,
            "MILLRACE_CLAIMS_ROOT": str(self.claim.parent),
            "MILLRACE_LOG_LEVEL": log_level,
        }
        made = servers.worker(self.folder / name, queue=queue, environment=environment, concurrency=1)
        return replace(made, environment={**made.environment, "MILLRACE_SYSTEM_QUEUE": SYSTEM})

    @contextmanager
    def running(self, *names: str, queue: str) -> Iterator[list[Program]]:
        """Have workers of these names, ready."""
        with ExitStack() as stack:
            workers = [stack.enter_context(self.worker(name, queue=queue)) for name in names]
            for name in names:
                self._wait_for(name)
            yield workers

    def start_again(self, worker: Program, name: str) -> None:
        """Start a worker that was killed, and wait until it consumes."""
        (self.folder / name / "state" / "ready").unlink(missing_ok=True)
        worker.start()
        self._wait_for(name)

    def _wait_for(self, name: str) -> None:
        try:
            servers.wait_for_worker(self.folder / name)
        except TimeoutError:
            # The folder goes with the benchmark.
            say((self.folder / name / "worker.log").read_text()[-LOG_CHARACTERS:])
            raise

    def submit(self, source: Input, *, queue: str, model: str, window: int = 64, **spec: Any) -> "Job":
        """Make the ledger and publish the plan; results go to a folder of their own on the claim."""
        uid = str(uuid.uuid4())
        known: dict[str, Any] = {
            "job": JobRef(namespace=NAMESPACE, name=f"job-{uid[:8]}", uid=uid),
            "model": ModelRef(name=model),
            "output": ClaimOutput(claim_name=CLAIM, path=f"out/{uid}"),
            "queue": queue,
            "reading": Reading(key_field=KEY_FIELD),
            "batching": Batching(records_per_task=512, max_batch_size=128),
        }
        task = PlanTask(spec=JobSpec(**known | spec), input=source, window=window)
        self.make_ledger(task.spec.job)
        self.app.send_task(
            PLAN,
            kwargs={"payload": task.model_dump(mode="json")},
            task_id=f"{uid}:plan",
            queue=topology.work_queue(SYSTEM),
            ignore_result=True,
        )
        return Job(self, uid, task)

    def make_ledger(self, job: JobRef) -> None:
        """Let workers know of a job; what has no ledger is a deleted job's, and they drop it."""
        keys = [ledger.job_key(job.uid), ledger.JOBS_KEY]
        now = str(clock.seconds_since_epoch())
        self.redis.eval(ledger_scripts.SUBMIT, len(keys), *keys, job.uid, job.namespace, job.name, now, "0")

    def inline(self, keys: list[str], tensor: list[float]) -> InlineInput:
        """Describe records that stand in the job itself."""
        return InlineInput(records=[{KEY_FIELD: key, "x": tensor} for key in keys])

    def file(self, name: str) -> ClaimInput:
        """Describe a file on the claim."""
        return ClaimInput(claim_name=CLAIM, path=name)

    def waiting(self, queue: str) -> int:
        """Count the messages that wait in a queue."""
        with self.app.connection_for_read() as connection, connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def close(self) -> None:
        """Tell what workers complained of, and forget the connections."""
        for log in sorted(self.folder.glob("*/worker.log")):
            # The rest is what Celery shows at its start.
            complaints = [line for line in log.read_text().splitlines() if line.startswith("{")]
            if complaints:
                say(f"--- {log.parent.name} logged {len(complaints)} times, at last")
                say("\n".join(complaints)[-LOG_CHARACTERS:])
        self.redis.close()
        self.app.close()


@dataclass(frozen=True, slots=True)
class Job:
    """A submitted job, as its ledger shows it."""

    stand: Stand
    uid: str
    task: PlanTask

    @property
    def fields(self) -> Mapping[str, str]:
        """The counters and times of the ledger."""
        fields: Any = self.stand.redis.hgetall(ledger.job_key(self.uid))
        return dict(fields)

    @property
    def output(self) -> Path:
        """The folder of its results."""
        return self.stand.claim / "out" / self.uid

    def number(self, name: str) -> int:
        """Answer one counter; 0 until it is written."""
        return int(self.fields.get(name, "0"))

    def in_flight(self) -> int:
        """Count the shards that workers have begun."""
        held: Any = self.stand.redis.hlen(ledger.in_flight_key(self.uid))
        return int(held)

    def has_ended(self) -> bool:
        """Say whether the manifest is written; raises JobStopped where it never will be."""
        fields = self.fields
        if Field.STOP_REASON in fields:
            raise JobStopped(f"{fields[Field.STOP_REASON]}: {fields.get(Field.STOP_MESSAGE, '')}")
        return fields.get(Field.STATE) == State.FINALIZED

    def wait(self, *, limit_seconds: float = LIMIT_SECONDS) -> Mapping[str, str]:
        """Wait for the end and answer the ledger."""
        try:
            wait_for(self.has_ended, what="the job to end", limit_seconds=limit_seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its ledger says {dict(self.fields)}") from error
        return self.fields

    def records_a_second(self) -> float:
        """Answer the speed from the first shard's begin to the last one's end."""
        fields = self.fields
        seconds = float(fields[Field.LAST_SHARD_AT]) - float(fields[Field.FIRST_SHARD_AT])
        return int(fields[Field.TOTAL]) / seconds


@contextmanager
def stand(
    folder: Path, *, waiting_seconds: float | None, redis_options: tuple[str, ...] = (), width: int = WIDTH
) -> Iterator[Stand]:
    """Start the servers; None needs no Triton, else its model WAITING takes so long for a request."""
    with ExitStack() as stack:
        rabbitmq = stack.enter_context(servers.rabbitmq(folder / "rabbitmq"))
        redis_server = stack.enter_context(servers.redis(*redis_options))
        triton_url = ""
        if waiting_seconds is not None:
            models = write_models(folder / "models", waiting_seconds=waiting_seconds, width=width)
            triton_url = stack.enter_context(servers.triton(models)).url
        made = Stand(rabbitmq, redis_server, triton_url, folder)
        stack.callback(made.close)
        yield made
