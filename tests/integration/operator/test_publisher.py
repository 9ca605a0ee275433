"""A plan that was published is in the broker, and one that was not is said to be not."""

import asyncio
import json

import pytest
import redis as redis_client
from broker_client import BrokerClient
from containers import Container
from waiters import wait_until

from millrace_contracts.inputs import ClaimInput
from millrace_contracts.outputs import RedisOutput
from millrace_contracts.tasks import NOTIFY, PLAN, JobRef, JobSpec, ModelRef, NotifyTask, PlanTask
from millrace_operator.actuation.plan_broker import PlanBroker
from millrace_operator.actuation.publisher import PlanPublisher
from millrace_operator.errors import PublishError

TASK = PlanTask(
    spec=JobSpec(
        job=JobRef(namespace="ml", name="digits", uid="1234"),
        model=ModelRef(name="digits"),
        output=RedisOutput(),
        queue="digits",
    ),
    input=ClaimInput(claim_name="digits", path="in.jsonl"),
)


def test_a_plan_arrives_as_a_celery_task_in_a_queue_that_nobody_had_made(
    publisher: PlanPublisher, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    runner.run(publisher.publish_plan(TASK))

    message = client.get(queue)
    assert message is not None
    assert (message.headers["task"], message.headers["id"]) == (PLAN, "1234:plan")
    arguments = message.decode()[1]
    assert PlanTask.model_validate(arguments["payload"]) == TASK
    assert message.properties["delivery_mode"] == 2


def test_word_of_a_job_arrives_as_a_celery_task_with_the_same_id_each_time(
    publisher: PlanPublisher, client: BrokerClient, queue: str, runner: asyncio.Runner
) -> None:
    word = NotifyTask(job=TASK.spec.job, event="Failed", at=1.0, body={"state": "Failed"}, kafka_topic="jobs")
    runner.run(publisher.publish_notification(word, notice="Failed:0"))

    message = client.get(queue)
    assert message is not None
    assert (message.headers["task"], message.headers["id"]) == (NOTIFY, "1234:notify:Failed:0")
    assert NotifyTask.model_validate(message.decode()[1]["payload"]) == word


def test_a_plan_without_a_broker_is_an_error_and_goes_out_once_the_broker_is_back(
    publisher: PlanPublisher, observed_rabbitmq: Container, runner: asyncio.Runner
) -> None:
    runner.run(publisher.publish_plan(TASK))
    observed_rabbitmq.kill()
    try:
        with pytest.raises(PublishError) as refused:
            runner.run(publisher.publish_plan(TASK))
    finally:
        observed_rabbitmq.start()
    assert "integration" not in str(refused.value), "the password stays out of messages"

    def is_published() -> bool:
        try:
            runner.run(publisher.publish_plan(TASK))
        except PublishError:
            return False
        return True

    assert wait_until(is_published, what="the broker to take the plan", timeout_seconds=120)


def test_a_plan_on_redis_lies_in_the_list_of_the_system_queue(redis: Container, runner: asyncio.Runner) -> None:
    url = f"redis://:integration@127.0.0.1:{redis.ports[6379]}/6"
    publisher = PlanPublisher(PlanBroker(kind="redis", url=url, timeout_seconds=15.0), queue="system")
    try:
        runner.run(publisher.publish_plan(TASK))
    finally:
        runner.run(publisher.close())

    (message,) = redis_client.Redis.from_url(url).lrange("system", 0, -1)
    assert PLAN == json.loads(message)["headers"]["task"]


def test_a_plan_for_a_redis_that_is_away_is_an_error(runner: asyncio.Runner) -> None:
    nowhere = PlanBroker(kind="redis", url="redis://:secret@127.0.0.1:1/0", timeout_seconds=1.0)
    publisher = PlanPublisher(nowhere, queue="system")
    try:
        with pytest.raises(PublishError) as refused:
            runner.run(publisher.publish_plan(TASK))
    finally:
        runner.run(publisher.close())
    assert "Redis did not confirm the plan" in str(refused.value)
    assert "secret" not in str(refused.value)
