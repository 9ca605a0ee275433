"""The gateway's administrative routes against real RabbitMQ and Redis, asked as the command line asks them."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_client
from containers import Container
from gateway_process import ADMIN_KEY, PREDICT_KEY, GatewayProcess
from kombu import Connection
from waiters import wait_until

from millrace import Client, NotFound, Refused, RetryPolicy, Unauthorized
from millrace.admin import Admin
from millrace_contracts import results
from millrace_contracts.models import MODELS_KEY, ModelVersion, VersionState, serving_key, versions_key
from millrace_contracts.pipelines import PIPELINES_KEY, RunState, run_key, runs_key
from millrace_contracts.queues import DEAD_LETTER_EXCHANGE, EXCHANGE, SYSTEM_QUEUE, dead_letter_queue
from millrace_contracts.wire import task_message
from millrace_worker import topology

PASSWORD = "integration"
BODY_LIMIT = 512
LOOKS = 22
"""More often than RabbitMQ delivers a message of a quorum queue before it drops it."""


class Queue:
    """A pool's queue, and workers that refuse what they are given."""

    def __init__(self, broker_url: str, name: str) -> None:
        self.name = name
        self._connection = Connection(broker_url)
        self.channel = self._connection.channel()

    def declare(self) -> None:
        """Make the queue and its dead-letter queue, as a worker does."""
        topology.declare(self._connection, self.name)

    def set_aside(self, task_id: str, **headers: Any) -> None:
        """Put a task straight into the dead-letter queue, as a worker does with a record that ends workers."""
        self.declare()
        message = task_message("a.task", task_id=task_id, kwargs={})
        self._connection.Producer(self.channel).publish(
            message.body,
            exchange=DEAD_LETTER_EXCHANGE,
            routing_key=self.name,
            headers={**message.headers, **headers},
            **message.properties,
        )
        wait_until(lambda: self.count_dead() == 1, what="the dead letter")

    def publish(self, task_id: str, **kwargs: Any) -> None:
        """Send a task."""
        message = task_message("a.task", task_id=task_id, kwargs=kwargs)
        self._connection.Producer(self.channel).publish(
            message.body, exchange=EXCHANGE, routing_key=self.name, headers=dict(message.headers), **message.properties
        )

    def take(self, name: str = "") -> Any:
        """Wait for a message and take it."""
        return wait_until(lambda: self.channel.basic_get(name or self.name), what="a message")

    def give_up(self, *task_ids: str) -> None:
        """Let tasks die one after the other."""
        self.declare()
        for task_id in task_ids:
            self.publish(task_id, number=task_id)
            self.channel.basic_reject(self.take().delivery_tag, requeue=False)
        wait_until(lambda: self.count_dead() == len(task_ids), what="the dead letters")

    def count_dead(self) -> int:
        """Count the dead letters that nobody holds."""
        return int(self.channel.queue_declare(dead_letter_queue(self.name), passive=True).message_count)

    def delete(self) -> None:
        """Delete the work queue alone."""
        self.channel.queue_delete(self.name)

    def close(self) -> None:
        """Delete both queues."""
        self.channel.queue_delete(self.name)
        self.channel.queue_delete(dead_letter_queue(self.name))
        self.disconnect()

    def disconnect(self) -> None:
        """Leave the queues as they are."""
        self._connection.close()


@pytest.fixture(scope="module")
def broker_url(rabbitmq: Container) -> str:
    return f"amqp://worker:{PASSWORD}@127.0.0.1:{rabbitmq.ports[5672]}/millrace"


@pytest.fixture(scope="module")
def redis_url(redis: Container) -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{redis.ports[6379]}/0"


@pytest.fixture(scope="module")
def state(redis_url: str) -> Iterator[redis_client.Redis]:
    with redis_client.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture(scope="module")
def pools() -> list[str]:
    return [f"admin-{uuid.uuid4().hex[:8]}-{number}" for number in range(9)]


@pytest.fixture(scope="module")
def gateway(
    broker_url: str, redis_url: str, pools: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    config = {"models": [], "pools": [*pools, "never-started"]}
    process = GatewayProcess(broker_url=broker_url, redis_url=redis_url, folder=folder, config=config)
    process.start()
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module")
def admin(gateway: GatewayProcess) -> Iterator[Admin]:
    with Client(gateway.url, api_key=ADMIN_KEY) as client:
        yield Admin(client.connection)


@pytest.fixture
def queue(broker_url: str, pools: list[str]) -> Iterator[Queue]:
    queue = Queue(broker_url, pools.pop())
    queue.declare()
    try:
        yield queue
    finally:
        queue.close()


def ids(letters: list[dict[str, Any]]) -> list[str]:
    return [letter["id"] for letter in letters]


def test_a_letter_says_what_it_was_and_why_it_died(admin: Admin, queue: Queue) -> None:
    queue.declare()
    queue.publish("one", text="x" * 2 * BODY_LIMIT)
    queue.channel.basic_reject(queue.take().delivery_tag, requeue=False)
    wait_until(lambda: queue.count_dead() == 1, what="the dead letter")

    (letter,) = admin.dead_letters(queue.name, limit=10)

    assert ("one", "a.task", "rejected", 1) == (letter["id"], letter["task"], letter["reason"], letter["deaths"])
    assert BODY_LIMIT == len(letter["bodyPreview"]) < letter["bodyBytes"]
    assert letter["diedAt"] > 0


def test_a_record_that_was_set_aside_is_told_by_job_key_and_line_and_redriven_with_them(
    admin: Admin, queue: Queue
) -> None:
    headers = {"millrace-job": "ns/digits", "millrace-shard": 3, "millrace-key": "scan-7", "millrace-line": 1544}
    queue.set_aside("poison", **headers, **{"millrace-error": "PoisonMessage"})

    (letter,) = admin.dead_letters(queue.name, limit=1)
    assert ("PoisonMessage", 0) == (letter["reason"], letter["deaths"])
    record = {"job": "ns/digits", "shard": 3, "key": "scan-7", "line": 1544, "error": "PoisonMessage"}
    assert record == letter["record"]
    assert {"redriven": 1} == admin.redrive(queue.name, task_id="poison", limit=1)
    assert headers.items() <= queue.take().headers.items()


def test_looking_at_letters_again_and_again_neither_takes_nor_reorders_them(admin: Admin, queue: Queue) -> None:
    queue.give_up("one", "two", "three")

    seen = [ids(admin.dead_letters(queue.name, limit=2)) for _ in range(LOOKS)]

    assert [["one", "two"]] * LOOKS == seen
    assert ["one", "two", "three"] == ids(admin.dead_letters(queue.name, limit=10))


def test_redriven_letters_go_to_work_as_they_were_and_only_once(admin: Admin, queue: Queue) -> None:
    queue.give_up("one", "two")

    assert {"redriven": 2} == admin.redrive(queue.name, task_id=None, limit=100)
    assert {"redriven": 0} == admin.redrive(queue.name, task_id=None, limit=100)

    first, second = queue.take(), queue.take()
    assert ("one", "two") == (first.headers["id"], second.headers["id"])
    assert {"number": "one"} == json.loads(first.body)[1]
    assert 1 == first.headers["x-millrace-redriven"]
    assert queue.channel.basic_get(queue.name) is None


def test_one_task_is_redriven_and_the_others_stay_in_their_order(admin: Admin, queue: Queue) -> None:
    queue.give_up("one", "two", "three")

    assert 1 == admin.redrive(queue.name, task_id="two", limit=100)["redriven"]

    assert "two" == queue.take().headers["id"]
    assert ["one", "three"] == ids(admin.dead_letters(queue.name, limit=10))
    with pytest.raises(NotFound, match="'two' is not among the 2 oldest"):
        admin.redrive(queue.name, task_id="two", limit=100)


def test_a_letter_whose_work_queue_is_gone_stays(admin: Admin, queue: Queue) -> None:
    queue.give_up("one")
    queue.delete()

    with pytest.raises(Refused, match="does not exist, so the letter stays"):
        admin.redrive(queue.name, task_id=None, limit=100)

    wait_until(lambda: queue.count_dead() == 1, what="the letter to be back")


def test_one_letter_or_all_are_thrown_away(admin: Admin, queue: Queue) -> None:
    queue.give_up("one", "two", "three")

    assert {"purged": 1} == admin.purge(queue.name, task_id="two")
    assert ["one", "three"] == ids(admin.dead_letters(queue.name, limit=10))
    assert {"purged": 2} == admin.purge(queue.name, task_id=None)
    assert [] == admin.dead_letters(queue.name, limit=10)


def test_a_pool_that_never_ran_has_no_count_of_dead_letters(admin: Admin, queue: Queue) -> None:
    counts = {item["queue"]: item["deadLetters"] for item in admin.dead_letter_queues()}

    assert None is counts["never-started"]
    assert 0 == counts[queue.name]
    with pytest.raises(NotFound, match="no worker of 'never-started' has ever started"):
        admin.dead_letters("never-started", limit=1)
    with pytest.raises(NotFound, match="no pool with queue 'strange'"):
        admin.dead_letters("strange", limit=1)


@pytest.mark.parametrize("key", [PREDICT_KEY, "wrong", ""])
def test_only_an_administrator_gets_in(gateway: GatewayProcess, key: str) -> None:
    with Client(gateway.url, api_key=key, retry=RetryPolicy(retries=0)) as client:
        for ask in (Admin(client.connection).dead_letter_queues, Admin(client.connection).schedules):
            with pytest.raises(Unauthorized):
                ask()


def test_a_schedule_is_made_paused_resumed_sent_and_removed(admin: Admin, queue: Queue) -> None:
    name = f"nightly {uuid.uuid4().hex[:8]}"
    entry = {"name": name, "cron": "0 3 * * *", "timeZone": "Europe/Berlin"}
    entry |= {"task": {"name": "a.task", "queue": queue.name, "kwargs": {"number": 7}}}

    saved = admin.save_schedule(entry)
    assert ("user", 0, True) == (saved["origin"], saved["totalRuns"], saved["enabled"])
    assert name in [item["name"] for item in admin.schedules()]

    assert None is admin.switch_schedule(name, is_enabled=False)["nextRunAt"]
    assert saved["nextRunAt"] == admin.switch_schedule(name, is_enabled=True)["nextRunAt"]

    sent = admin.run_schedule(name)
    message = queue.take()
    assert (sent["taskId"], {"number": 7}) == (message.headers["id"], json.loads(message.body)[1])

    admin.remove_schedule(name)
    with pytest.raises(NotFound):
        admin.schedule(name)


def test_a_schedule_that_makes_no_sense_is_refused_with_the_reason(admin: Admin) -> None:
    with pytest.raises(Refused, match="exactly one of cron and everySeconds"):
        admin.save_schedule({"name": "both", "cron": "0 3 * * *", "everySeconds": 5, "pipeline": {"name": "p"}})


def test_models_are_listed_with_what_serves_and_why(admin: Admin, state: redis_client.Redis) -> None:
    model = f"model-{uuid.uuid4().hex[:8]}"
    facts: dict[str, Any] = {"model": model, "changed_at": 20.0}
    versions = [
        ModelVersion(version="1", state=VersionState.SERVING, metrics={"hits": 0.4}, created_at=10.0, **facts),
        ModelVersion(version="2", state=VersionState.REFUSED, message="worse", created_at=20.0, **facts),
    ]
    state.sadd(MODELS_KEY, model)
    state.hset(versions_key(model), mapping={each.version: each.model_dump_json() for each in versions})
    state.set(serving_key(model), "1")

    summary = next(item for item in admin.models() if item["model"] == model)
    assert ("1", {"hits": 0.4}, "Refused") == (summary["serving"], summary["metrics"], summary["latest"]["state"])
    assert ["2", "1"] == [item["version"] for item in admin.model_versions(model)["items"]]
    with pytest.raises(NotFound, match="no pipeline has published"):
        admin.model_versions("nobody")


def test_a_run_of_a_pipeline_is_handed_to_the_system_queue(admin: Admin, broker_url: str) -> None:
    system = Queue(broker_url, SYSTEM_QUEUE)
    system.declare()
    system.channel.queue_purge(SYSTEM_QUEUE)
    run = f"run-{uuid.uuid4().hex[:8]}"

    assert {"pipeline": "p", "runId": run} == admin.run_pipeline("p", parameters={"factors": 64}, run_id=run)

    message = system.take()
    assert ("millrace.run_pipeline", run) == (message.headers["task"], message.headers["id"])
    payload = json.loads(message.body)[1]["payload"]
    assert ("p", run, {"factors": 64}) == (payload["pipeline"], payload["run_id"], payload["parameters"])
    system.channel.basic_ack(message.delivery_tag)
    system.disconnect()


def test_runs_of_a_pipeline_are_listed_with_why_they_ended(admin: Admin, state: redis_client.Redis) -> None:
    name = f"pipeline-{uuid.uuid4().hex[:8]}"
    state.sadd(PIPELINES_KEY, name)
    state.rpush(runs_key(name), "second", "first", "forgotten")
    for run, why in (("first", ""), ("second", "train raised")):
        fields = {"pipeline": name, "run_id": run, "message": why, "started_at": 1.0, "changed_at": 2.0}
        state.hset(run_key(name, run), mapping={**fields, "state": RunState.FAILED.value})

    assert [("second", "train raised"), ("first", "")] == [
        (run["run_id"], run["message"]) for run in admin.pipeline_runs(name)
    ]
    assert "second" == next(item for item in admin.pipelines() if item["pipeline"] == name)["latest"]["run_id"]
    with pytest.raises(NotFound, match="has never run"):
        admin.pipeline_runs("nobody")


def test_results_of_a_job_are_read_page_by_page_and_completely(admin: Admin, state: redis_client.Redis) -> None:
    uid = str(uuid.uuid4())
    written = {f"r{number}": {"key": f"r{number}", "line": number, "outputs": {}} for number in range(2500)}
    state.hset(results.results_key(uid), mapping={key: json.dumps(value) for key, value in written.items()})

    read = list(admin.job_results(uid, outcome="succeeded"))

    assert sorted(written) == sorted(item["key"] for item in read)
    assert [] == list(admin.job_results(uid, outcome="failed"))
    with pytest.raises(NotFound, match="Redis holds no results"):
        list(admin.job_results(str(uuid.uuid4()), outcome="succeeded"))
