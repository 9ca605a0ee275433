"""A plan that was published is in the broker, and one that was not is said to be not."""

import asyncio

import pytest
from broker_client import BrokerClient
from containers import Container
from waiters import wait_until

from millrace_contracts.tasks import PLAN, ClaimInput, JobRef, JobSpec, ModelRef, PlanTask, RedisOutput
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

    assert wait_until(is_published, what="the broker to take the plan", timeout_seconds=60)
