"""Jobs on brokers other than RabbitMQ: Redis, and SQS as ElasticMQ speaks it. Redis keeps the ledger on all of them."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pytest
import redis as redis_client
from celery import Celery
from containers import Container
from elasticmq import ElasticMQ, elasticmq
from kombu.message import Message
from pydantic import SecretStr
from waiters import wait_until
from worker_jobs import Job, Platform

from millrace_contracts import ledger, ledger_scripts
from millrace_contracts.inputs import InlineInput
from millrace_contracts.ledger import Field
from millrace_contracts.tasks import PREDICT_SHARD, PlanTask
from millrace_operator.actuation.plan_broker import PlanBroker
from millrace_operator.actuation.publisher import PlanPublisher
from millrace_operator.clock import Clock
from millrace_operator.model.reading import QueueReading
from millrace_operator.observation.redis_lists import RedisLists
from millrace_worker import topology
from millrace_worker.app import create_app
from millrace_worker.broker.kinds import BrokerKind
from millrace_worker.broker.redelivery_counts import RedeliveryCounts
from millrace_worker.settings import WorkerSettings

PASSWORD = "integration"
LIMITS = {"TASK_TIME_LIMIT_SECONDS": "10", "TASK_SOFT_TIME_LIMIT_SECONDS": "8", "VISIBILITY_TIMEOUT_SECONDS": "11"}
RECORDS = [{"id": i, "x": [i, 0.5]} for i in range(120)]
RECORDS_PER_TASK = 15


@dataclass
class OtherPlatform(Platform):
    """A pool whose tasks another kind of broker carries."""

    kind: BrokerKind = field(kw_only=True)

    @property
    def variables(self) -> Mapping[str, str]:
        """What a worker is told of its broker."""
        values = LIMITS | {"BROKER_KIND": str(self.kind), "SQS_TLS": "false"}
        return {f"MILLRACE_{name}": value for name, value in values.items()}

    @cached_property
    def app(self) -> Celery:
        """A client of this broker."""
        settings = WorkerSettings(
            broker_kind=self.kind,
            broker_url=SecretStr(self.broker_url),
            redis_url=SecretStr(self.redis_url),
            sqs_tls=False,
            queue=self.queue,
            state_dir=self.folder / "client",
            visibility_timeout_seconds=11,
            task_time_limit_seconds=10,
            task_soft_time_limit_seconds=8,
        )
        return create_app(settings)

    def publish(self, name: str, kwargs: Mapping[str, object], task_id: str) -> None:
        """Publish any task to the pool's queue."""
        queue = topology.work_queue(self.queue, kind=self.kind)
        self.app.send_task(name, kwargs=dict(kwargs), task_id=task_id, queue=queue, ignore_result=True)

    def submit_as_the_operator_does(self) -> Job:
        """Make the ledger and publish the plan."""
        spec = self.spec(model="slow", key_field="id", records_per_task=RECORDS_PER_TASK, max_in_flight_requests=1)
        keys = [ledger.job_key(spec.job.uid), ledger.JOBS_KEY]
        self.redis.eval(ledger_scripts.SUBMIT, len(keys), *keys, spec.job.uid, "test", spec.job.name, "1000.0")
        plan = PlanTask(spec=spec, input=InlineInput(records=RECORDS))
        broker = PlanBroker(
            kind=str(self.kind), url=self.broker_url, timeout_seconds=30, sqs_region="us-east-1", sqs_tls=False
        )

        async def publish() -> None:
            publisher = PlanPublisher(broker, queue=self.queue)
            await publisher.publish_plan(plan)
            await publisher.close()

        asyncio.run(publish())
        return Job(self, plan)


@pytest.fixture(scope="module")
def sqs() -> Iterator[ElasticMQ]:
    with elasticmq() as server:
        yield server


@pytest.fixture(scope="module")
def platforms(
    redis: Container, triton: Container, sqs: ElasticMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[BrokerKind, OtherPlatform]]:
    """A pool on each of the two, with two workers."""
    state = f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}"
    platforms = {
        kind: OtherPlatform(
            broker_url=url,
            redis_url=f"{state}/0",
            triton_url=f"127.0.0.1:{triton.ports[8001]}",
            queue=f"pool-{kind}",
            folder=tmp_path_factory.mktemp(str(kind)),
            kind=kind,
        )
        for kind, url in ((BrokerKind.REDIS, f"{state}/1"), (BrokerKind.SQS, sqs.url))
    }
    try:
        for platform in (*platforms.values(), *platforms.values()):
            platform.worker(concurrency=1, is_awaited=False, **platform.variables)
        yield platforms
    finally:
        for platform in platforms.values():
            platform.close()


@pytest.fixture(scope="module")
def jobs(platforms: Mapping[BrokerKind, OtherPlatform]) -> Mapping[BrokerKind, Job]:
    """A job on each, one of whose workers was killed while it held a shard."""
    for platform in platforms.values():
        # One that came late would find nothing left to do.
        for worker in platform.workers:
            worker.wait_until_ready()
    jobs = {}
    for kind, platform in platforms.items():
        jobs[kind] = platform.submit_as_the_operator_does()
        jobs[kind].wait_for(Field.IN_FLIGHT, at_least=2 * RECORDS_PER_TASK)
        platform.workers[0].kill()
    return jobs


@pytest.mark.parametrize("kind", [BrokerKind.REDIS, BrokerKind.SQS])
def test_a_job_is_done_though_one_of_its_workers_is_killed_in_the_midst(
    jobs: Mapping[BrokerKind, Job], kind: BrokerKind
) -> None:
    job = jobs[kind]
    job.wait_until_finalized()

    assert (len(RECORDS), len(RECORDS), 0) == job.counts
    assert len(RECORDS) == len(job.results)


@pytest.mark.parametrize("kind", [BrokerKind.REDIS, BrokerKind.SQS])
def test_a_task_that_cannot_be_understood_is_kept_aside(
    platforms: Mapping[BrokerKind, OtherPlatform], sqs: ElasticMQ, kind: BrokerKind
) -> None:
    platform = platforms[kind]

    def dead_letters() -> int:
        if kind is BrokerKind.SQS:
            return int(sqs.attributes(f"{platform.queue}-dead")["ApproximateNumberOfMessages"])
        with redis_client.Redis.from_url(platform.broker_url) as client:
            return int(str(client.llen(f"{platform.queue}.dead")))

    platform.publish(PREDICT_SHARD, {"payload": {"no": "shard"}}, "broken")
    platform.publish("nobody.knows", {}, "unknown")
    wait_until(lambda: dead_letters() == 2, what="two dead letters", explain=platform.logs)


@pytest.mark.usefixtures("jobs")
def test_queues_of_sqs_give_up_a_task_after_twenty_receives(sqs: ElasticMQ) -> None:
    found = sqs.attributes("pool-sqs")
    assert "11" == found["VisibilityTimeout"]
    assert "20" == str(json.loads(found["RedrivePolicy"])["maxReceiveCount"])


def test_workers_count_what_redis_delivers_again(redis: Container) -> None:
    counts = RedeliveryCounts(BrokerKind.REDIS, redis_url=f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/3")
    first, again = (Message(headers={"id": "t"}, delivery_info={"redelivered": seen}) for seen in (False, True))
    assert [0, 1, 2, 0] == [counts.of(message) for message in (first, again, again, first)]


def test_the_operator_reads_what_waits_in_a_redis_queue(redis: Container, tmp_path: Path) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}"
    platform = OtherPlatform(
        broker_url=f"{url}/2",
        redis_url=f"{url}/0",
        triton_url="",
        queue="waiting",
        folder=tmp_path,
        kind=BrokerKind.REDIS,
    )
    for number in range(3):
        platform.publish("a.b", {}, f"task-{number}")

    async def observe() -> object:
        lists = RedisLists(url=platform.broker_url, timeout_seconds=5, clock=Clock())
        try:
            return (await lists.observe(["waiting"]))["waiting"]
        finally:
            await lists.close()

    reading = asyncio.run(observe())
    platform.close()

    assert isinstance(reading, QueueReading)
    assert (3, 0) == (reading.ready, reading.unacked)
