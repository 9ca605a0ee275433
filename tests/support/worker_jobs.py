"""Submit jobs as the operator does, and look at what workers make of them."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import redis
from celery import Celery
from kombu import Connection
from pydantic import SecretStr
from waiters import wait_until
from worker_process import WorkerProcess

from millrace_contracts import ledger, ledger_scripts, results
from millrace_contracts.inputs import ClaimInput, InlineInput, Input, Reading
from millrace_contracts.ledger import Field, State
from millrace_contracts.outputs import ClaimOutput, Output, RedisOutput
from millrace_contracts.payload import Payload
from millrace_contracts.queues import dead_letter_queue
from millrace_contracts.tasks import PLAN, Batching, JobRef, JobSpec, ModelRef, PlanTask
from millrace_worker import topology
from millrace_worker.app import create_app
from millrace_worker.publishing import Publisher
from millrace_worker.settings import WorkerSettings

_OFTEN_SECONDS: Final = 0.05
"""Between looks at the ledger, which cost little: what a test does in the middle of a job must not come at its end."""


@dataclass
class Platform:
    """One pool on running servers. It plans, predicts and finalizes its own jobs."""

    broker_url: str
    redis_url: str
    triton_url: str
    queue: str
    folder: Path
    workers: list[WorkerProcess] = field(default_factory=list)

    @property
    def claim(self) -> Path:
        """The folder of the only claim, "data"."""
        path = self.folder / "claims" / "data"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @cached_property
    def redis(self) -> redis.Redis:
        """A client for what tests look at."""
        retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.2), 300)
        return redis.Redis.from_url(
            self.redis_url, decode_responses=True, retry=retry, retry_on_error=[redis.ConnectionError]
        )

    @cached_property
    def app(self) -> Celery:
        """A client of the broker, as the operator is one."""
        settings = WorkerSettings(
            broker_url=SecretStr(self.broker_url),
            redis_url=SecretStr(self.redis_url),
            queue=self.queue,
            state_dir=self.folder / "client",
        )
        return create_app(settings)

    @cached_property
    def publisher(self) -> Publisher:
        """Makes queues as workers do."""
        return Publisher(self.app, system_queue=self.queue)

    @property
    def secrets(self) -> Path:
        """The folder of the secrets that sign notifications."""
        path = self.folder / "secrets"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def worker(
        self, *, concurrency: int = 2, is_awaited: bool = True, arguments: Sequence[str] = (), **environment: str
    ) -> WorkerProcess:
        """Start a worker of the pool."""
        worker = WorkerProcess(
            environment={
                "MILLRACE_BROKER_URL": self.broker_url,
                "MILLRACE_REDIS_URL": self.redis_url,
                "MILLRACE_TRITON_URL": self.triton_url,
                "MILLRACE_SYSTEM_QUEUE": self.queue,
                "MILLRACE_CLAIMS_ROOT": str(self.claim.parent),
                "MILLRACE_NOTIFICATION_SECRETS_DIR": str(self.secrets),
                **environment,
            },
            queue=self.queue,
            folder=self.folder / f"worker-{self.queue}-{len(self.workers)}",
            concurrency=concurrency,
            arguments=arguments,
        )
        self.workers.append(worker)
        worker.start()
        if is_awaited:
            worker.wait_until_ready()
        return worker

    def spec(
        self, *, model: str = "identity", output: Output | None = None, key_field: str = "", **batching: int
    ) -> JobSpec:
        """Describe a job."""
        uid = str(uuid.uuid4())
        return JobSpec(
            job=JobRef(namespace="test", name=f"job-{uid[:8]}", uid=uid),
            model=ModelRef(name=model),
            output=output or RedisOutput(ttl_seconds=600),
            queue=self.queue,
            reading=Reading(key_field=key_field),
            batching=Batching(**batching),
            request_timeout_seconds=10,
        )

    def submit(self, spec: JobSpec, source: Input | Sequence[dict[str, Any]], *, window: int = 64) -> "Job":
        """Make the ledger and publish the plan."""
        task_input = source if isinstance(source, Payload) else InlineInput(records=list(source))
        job = Job(self, PlanTask(spec=spec, input=task_input, window=window))
        job.make_ledger()
        job.publish_plan()
        return job

    def write_input(self, lines: Sequence[str], path: str = "in/records.jsonl") -> ClaimInput:
        """Write a file onto the claim."""
        file = self.claim / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines))
        return ClaimInput(claim_name="data", path=path)

    def publish(self, name: str, kwargs: dict[str, Any], task_id: str) -> None:
        """Publish any task to the pool's queue."""
        self.app.send_task(
            name, kwargs=kwargs, task_id=task_id, queue=topology.work_queue(self.queue), ignore_result=True
        )

    def publish_raw(self, body: bytes, *, content_type: str, headers: dict[str, Any]) -> None:
        """Publish bytes that are no task."""
        with Connection(self.broker_url) as connection, connection.channel() as channel:
            topology.work_queue(self.queue)(channel).declare()
            producer = connection.Producer(channel)
            producer.publish(
                body,
                exchange=topology.work_exchange(),
                routing_key=self.queue,
                content_type=content_type,
                content_encoding="utf-8",
                headers=headers,
            )

    def dead_letters(self) -> int:
        """Count the messages in the pool's dead-letter queue."""
        return self._depth(dead_letter_queue(self.queue))

    def waiting(self) -> int:
        """Count the messages that wait in the pool's queue."""
        return self._depth(self.queue)

    def _depth(self, queue: str) -> int:
        with Connection(self.broker_url) as connection, connection.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    def logs(self) -> str:
        """Answer the end of each worker's log, for failed tests."""
        return "\n".join(f"--- {worker.folder.name}\n{worker.log[-3000:]}" for worker in self.workers)

    def close(self) -> None:
        """End the workers and forget the connections."""
        for worker in self.workers:
            # At once: nothing of it is looked at any more, and to end politely takes seconds.
            if worker.is_running():
                worker.kill()
        if "app" in self.__dict__:
            self.app.close()
        if "redis" in self.__dict__:
            self.redis.close()


@dataclass
class Job:
    """A submitted job, as its ledger and its output show it."""

    platform: Platform
    plan: PlanTask

    @property
    def spec(self) -> JobSpec:
        """What its tasks have in common."""
        return self.plan.spec

    def make_ledger(self, *, epoch: int = 0) -> None:
        """Make its ledger, or make it anew in a later epoch."""
        keys = [ledger.job_key(self.uid), ledger.JOBS_KEY]
        arguments = [self.uid, "test", self.spec.job.name, "1000.0", epoch]
        self.platform.redis.eval(ledger_scripts.SUBMIT, len(keys), *keys, *arguments)

    def publish_plan(self) -> None:
        """Publish the plan, for the first time or again."""
        self.platform.publish(PLAN, {"payload": self.plan.model_dump(mode="json")}, f"{self.uid}:plan")

    def suspend(self) -> None:
        """Let what runs finish and nothing else begin."""
        self.platform.redis.eval(ledger_scripts.SUSPEND, 1, ledger.job_key(self.uid))

    def resume(self) -> None:
        """Have published what is not done."""
        self.platform.redis.eval(ledger_scripts.DISPATCH_ANEW, 2, ledger.job_key(self.uid), ledger.feeds_key(self.uid))
        self.publish_plan()

    @property
    def uid(self) -> str:
        """Name of its ledger."""
        return self.spec.job.uid

    @property
    def fields(self) -> dict[str, str]:
        """The counters and times of the ledger."""
        fields: Any = self.platform.redis.hgetall(ledger.job_key(self.uid))
        return dict(fields)

    def number(self, name: str) -> int:
        """Answer one counter; 0 until it is written."""
        return int(self.fields.get(name, "0"))

    @property
    def counts(self) -> tuple[int, int, int]:
        """Total, succeeded and failed."""
        return self.number(Field.TOTAL), self.number(Field.SUCCEEDED), self.number(Field.FAILED)

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The results in Redis by key."""
        return self._hash(results.results_key(self.uid))

    @property
    def errors(self) -> dict[str, dict[str, Any]]:
        """The errors in Redis by key."""
        return self._hash(results.errors_key(self.uid))

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest in Redis."""
        text: Any = self.platform.redis.get(results.manifest_key(self.uid))
        return dict(json.loads(text))

    def wait_for(self, name: str, *, at_least: int, timeout_seconds: float = 100.0) -> None:
        """Wait until a counter has reached a value."""
        wait_until(
            lambda: self.number(name) >= at_least,
            what=f"{name} >= {at_least}",
            timeout_seconds=timeout_seconds,
            interval_seconds=_OFTEN_SECONDS,
            explain=self.explain,
        )

    def wait_until_finalized(self, *, timeout_seconds: float = 100.0) -> None:
        """Wait until the manifest is written."""
        wait_until(
            lambda: self.fields.get(Field.STATE) == State.FINALIZED,
            what="the job to be finalized",
            timeout_seconds=timeout_seconds,
            interval_seconds=_OFTEN_SECONDS,
            explain=self.explain,
        )

    def wait_until_stopped(self, *, timeout_seconds: float = 100.0) -> tuple[str, str]:
        """Wait until the job is stopped; answers the reason and the message."""
        wait_until(
            lambda: Field.STOP_REASON in self.fields,
            what="the job to be stopped",
            timeout_seconds=timeout_seconds,
            interval_seconds=_OFTEN_SECONDS,
            explain=self.explain,
        )
        fields = self.fields
        return fields[Field.STOP_REASON], fields[Field.STOP_MESSAGE]

    def explain(self) -> str:
        """Show what explains a wait that was in vain."""
        return f"{self.fields}\n{self.platform.logs()}"

    def _hash(self, key: str) -> dict[str, dict[str, Any]]:
        fields: Any = self.platform.redis.hgetall(key)
        return {name: json.loads(text) for name, text in fields.items()}


def claim_output(path: str = "out") -> ClaimOutput:
    """Describe an output folder on the claim."""
    return ClaimOutput(claim_name="data", path=path)
