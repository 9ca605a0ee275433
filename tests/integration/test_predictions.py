"""Single predictions: each record has one answer, in Redis, on its channel, in the cache, in Kafka and in a queue."""

import json
import random
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deadly_records import DEADLY
from kafka import Kafka
from kombu import Connection, Queue
from patient_cache import patient
from predictions import prediction_task, read_answer, send_predictions, send_task, wait_for_answer
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.models import ModelDescription, signature_key
from millrace_contracts.outputs import KafkaOutput, OutputJoin, Writing
from millrace_contracts.predictions import (
    PREDICT_EVENTS,
    CachedAnswer,
    Prediction,
    PredictionError,
    PredictionState,
    cache_key,
    prediction_key,
)
from millrace_contracts.streams import StreamBatch, StreamRecord, done_key


@pytest.fixture(scope="module")
def pool(
    make_platform: Callable[[Path], Platform], kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    platform = make_platform(tmp_path_factory.mktemp("predictions"))
    try:
        platform.worker(
            MILLRACE_CACHE_URL=patient(platform.redis_url.replace("/0", "/1")),
            MILLRACE_TASK_MODULES="deadly_records",
            PYTHONPATH=str(Path(__file__).parents[1] / "support"),
            MILLRACE_KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        )
        yield platform
    finally:
        platform.close()


def test_each_record_has_its_own_answer_and_a_bad_one_fails_alone(pool: Platform) -> None:
    send_predictions(pool, prediction_task({"a1": {"x": [1, 2]}, "a2": {"x": "wrong"}, "a3": {"x": [3, 4]}}))
    answers = [wait_for_answer(pool, name) for name in ("a1", "a2", "a3")]
    assert [answer.outputs for answer in answers] == [{"y": [1.0, 2.0]}, None, {"y": [3.0, 4.0]}]
    assert [answer.model_version for answer in answers] == ["1", "", "1"]
    assert answers[1].error is not None
    assert answers[1].error.code == PredictionError.INVALID_RECORD


def test_an_answer_is_cached_under_the_version_that_answered_before_it_is_published(pool: Platform) -> None:
    record = {"x": [5, 6]}
    key = cache_key("identity", "1", record, {})
    subscription = pool.redis.pubsub()  # type: ignore[no-untyped-call] # redis has no type here
    subscription.subscribe("gateway-1")
    subscription.get_message(timeout=5)
    send_predictions(pool, prediction_task({"b1": record}, channel="gateway-1", cache_ttl_seconds=60))
    message = None
    while message is None:
        message = subscription.get_message(timeout=20)
    assert Prediction.model_validate_json(message["data"]).id == "b1"
    pool.redis.select(1)
    cached = pool.redis.get(key)
    pool.redis.select(0)
    assert CachedAnswer(model_version="1", outputs={"y": [5.0, 6.0]}) == CachedAnswer.model_validate_json(str(cached))


def test_gateways_are_told_what_the_model_takes(pool: Platform) -> None:
    send_predictions(pool, prediction_task({"c1": {"x": [1, 2]}}, model="faulty"))
    wait_for_answer(pool, "c1")
    description = ModelDescription.model_validate_json(str(pool.redis.get(signature_key("faulty"))))
    assert [(one.name, one.datatype, one.shape) for one in description.inputs] == [("x", "FP32", [-1, 2])]
    assert [(one.name, one.datatype, one.shape) for one in description.outputs] == [("y", "FP32", [-1, 2])]
    assert (description.max_batch_size, description.versions) == (16, ["1"])


def test_a_cancelled_prediction_stays_cancelled(pool: Platform) -> None:
    cancelled = Prediction(id="d1", state=PredictionState.CANCELLED, model="identity", accepted_at=1.0)
    pool.redis.set(prediction_key("d1"), cancelled.model_dump_json(), ex=60)
    send_predictions(pool, prediction_task({"d1": {"x": [1, 2]}, "d2": {"x": [1, 2]}}))
    wait_for_answer(pool, "d2")
    assert read_answer(pool, "d1") == cancelled


def test_a_record_whose_deadline_has_passed_is_not_computed(pool: Platform) -> None:
    send_predictions(pool, prediction_task({"e1": {"x": [1, 2]}}, deadline=1.0))
    answer = wait_for_answer(pool, "e1")
    assert answer.error is not None
    assert answer.error.code == PredictionError.DEADLINE_EXCEEDED


def test_a_model_that_nobody_knows_fails_at_once(pool: Platform) -> None:
    send_predictions(pool, prediction_task({"f1": {"x": [1, 2]}}, model="nobody"))
    answer = wait_for_answer(pool, "f1", timeout_seconds=20)
    assert answer.error is not None
    assert answer.error.code == PredictionError.MODEL_NOT_FOUND
    # What else is there, and where, is nobody's business outside.
    assert f'the pool of queue "{pool.queue}" has no model "nobody"' == answer.error.message


def test_answers_go_to_kafka_and_to_the_reply_queue_when_asked(pool: Platform, kafka: Kafka) -> None:
    kafka.create_topics("answers")
    with Connection(pool.broker_url) as connection, connection.channel() as channel:
        queue = Queue("replies", exclusive=True, auto_delete=True)(channel)
        queue.declare()
        task = prediction_task({"g1": {"x": [1, 2]}, "g2": {"x": [3, 4]}}, kafka={"topic": "answers"})
        send_predictions(pool, task, reply_to=queue.name)
        replies = {}

        def take() -> bool:
            message = queue.get(no_ack=True)
            if message:
                replies[message.properties["correlation_id"]] = Prediction.model_validate_json(message.body)
            return len(replies) == len(task.items)

        wait_until(take, what="two replies", explain=pool.logs)
    produced = {bytes(message.key() or b"").decode(): message.value() for message in kafka.read("answers", 2)}
    assert {name: reply.outputs for name, reply in replies.items()} == {
        "g1": {"y": [1.0, 2.0]},
        "g2": {"y": [3.0, 4.0]},
    }
    assert {name: json.loads(value or b"")["outputs"] for name, value in produced.items()} == {
        name: reply.outputs for name, reply in replies.items()
    }


def test_a_record_that_kills_its_worker_ends_alone(pool: Platform) -> None:
    records = {"h0": {"x": [1, 0]}, "h1": {"x": [DEADLY, 0]}}
    send_predictions(pool, prediction_task(records))
    answers = [wait_for_answer(pool, name) for name in records]
    assert [answer.outputs for answer in answers] == [{"y": [1.0, 0.0]}, None]
    assert answers[-1].error is not None
    assert answers[-1].error.code == PredictionError.WORKER_LOST
    assert pool.dead_letters() == 0


def test_events_of_a_stream_are_predicted_once_without_code(pool: Platform, kafka: Kafka) -> None:
    kafka.create_topics("event-answers")
    predict = {"model": {"name": "identity"}, "kafka": {"topic": "event-answers"}}

    def send(*offsets: int, until: int) -> None:
        """Send events, and wait until all of them up to this offset are done."""
        records = [StreamRecord(offset=offset, value={"x": [offset, 0]}) for offset in offsets]
        begin = {"stream": "s", "topic": "t", "partition": 0, "from_offset": offsets[0]}
        batch = StreamBatch(**begin, to_offset=until, records=records)
        send_task(pool, PREDICT_EVENTS, {"batch": batch.model_dump(mode="json"), "predict": predict})
        done = [f"7-{until}"]
        wait_until(lambda: pool.redis.zrange(done_key("s", "t", 0), 0, -1) == done, what="the mark", explain=pool.logs)

    for _ in range(2):
        send(7, 9, until=10)
    send(10, until=11)
    assert wait_for_answer(pool, "t-0-9").outputs == {"y": [9.0, 0.0]}
    assert [b"t-0-7", b"t-0-9", b"t-0-10"] == [message.key() for message in kafka.read("event-answers", 3)]


def test_while_triton_is_away_a_prediction_waits_and_its_deadline_ends_it(platform: Platform) -> None:
    platform.triton_url = "127.0.0.1:1"
    platform.worker(concurrency=1)
    send_predictions(platform, prediction_task({"i1": {"x": [1, 2]}}, deadline=time.time() + 3))  # noqa: TID251 - as a client
    answer = wait_for_answer(platform, "i1")
    assert answer.error is not None
    assert answer.error.code == PredictionError.DEADLINE_EXCEEDED


def test_results_of_a_job_go_to_kafka_by_key_and_failed_records_to_their_own_topic(
    pool: Platform, kafka: Kafka
) -> None:
    kafka.create_topics("scores", "bad-scores")
    output = KafkaOutput(topic="scores", errors_topic="bad-scores")
    spec = pool.spec(output=output, key_field="id", records_per_task=2)
    job = pool.submit(spec, [{"id": "k1", "x": [1, 2]}, {"id": "k2", "x": "wrong"}, {"id": "k3", "x": [3, 4]}])
    job.wait_until_finalized()
    produced = {message.key(): json.loads(message.value() or b"") for message in kafka.read("scores", 2)}
    assert {key: value["outputs"] for key, value in produced.items()} == {
        b"k1": {"y": [1.0, 2.0]},
        b"k3": {"y": [3.0, 4.0]},
    }
    (bad,) = kafka.read("bad-scores", 1)
    headers = dict(bad.headers() or [])
    assert (bad.key(), headers["millrace-shard"], headers["millrace-offset"], headers["millrace-outcome"]) == (
        *(b"k2", b"0", b"1", b"failed"),
    )
    assert [("scores", 2), ("bad-scores", 1)] == [
        (part["name"], part["records"]) for part in job.manifest["parts"] + job.manifest["errors"]
    ]


def test_a_result_that_its_topic_does_not_take_fails_its_own_record_only(pool: Platform, kafka: Kafka) -> None:
    kafka.create_topics("small-scores", **{"max.message.bytes": "2000"})
    spec = pool.spec(output=KafkaOutput(topic="small-scores"), key_field="id")
    spec = spec.model_copy(update={"writing": Writing(join=OutputJoin.INPUT)})
    # Letters by chance, which packing does not make smaller.
    large = "".join(random.choices(string.ascii_letters, k=5000))
    notes = {f"k{i}": large if i == 3 else f"note {i}" for i in range(6)}
    job = pool.submit(spec, [{"id": key, "x": [1, 2], "note": note} for key, note in notes.items()])
    job.wait_until_finalized()
    assert (6, 5, 1) == job.counts
    produced = {message.key(): json.loads(message.value() or b"") for message in kafka.read("small-scores", 6)}
    assert {key.encode() for key in notes} == produced.keys()
    error = produced[b"k3"]["error"]
    assert "ResultTooLarge" == error["code"]
    assert all(words in error["message"] for words in ('"k3"', '"small-scores"', "takes 2,000"))


def test_a_job_that_writes_to_a_topic_that_is_not_there_says_so(pool: Platform) -> None:
    job = pool.submit(pool.spec(output=KafkaOutput(topic="nowhere")), [{"x": [1, 2]}])
    reason, message = job.wait_until_stopped()
    assert reason == "OutputWriteFailed"
    assert '"nowhere"' in message


def test_an_answer_does_not_wait_for_kafka_and_reaches_it_when_it_is_back(pool: Platform, kafka: Kafka) -> None:
    kafka.create_topics("late-answers")
    kafka.container.kill()
    try:
        send_predictions(pool, prediction_task({"j1": {"x": [1, 2]}}, kafka={"topic": "late-answers"}))
        assert wait_for_answer(pool, "j1", timeout_seconds=10).outputs == {"y": [1.0, 2.0]}
    finally:
        kafka.container.start()
    kafka.wait_until_ready()
    assert kafka.read("late-answers", 1, timeout_seconds=60)[0].key() == b"j1"
