"""What docs/wire-format.md says is enough: a real worker answers its example, and a program in Go."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import amqp
from go_programs import build
from kombu import Connection
from predictions import wait_for_answer
from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.predictions import PredictionError
from millrace_contracts.queues import EXCHANGE

ROOT = Path(__file__).parents[2]


def documented(kind: str) -> Any:
    """Read the JSON block of the page that is marked with this word."""
    page = (ROOT / "docs" / "wire-format.md").read_text()
    (block,) = re.findall(rf"```json {kind}\n(.*?)```", page, flags=re.DOTALL)
    return json.loads(block)


def test_the_documented_message_is_answered_over_direct_reply_to_and_in_redis(pool: Platform) -> None:
    replies: dict[str, Any] = {}

    def note(message: Any) -> None:
        replies[message.properties["correlation_id"]] = json.loads(message.body)

    with Connection(pool.broker_url) as connection, connection.channel() as channel:
        channel.basic_consume("amq.rabbitmq.reply-to", no_ack=True, callback=note)
        channel.basic_publish(
            amqp.Message(
                json.dumps(documented("body")),
                application_headers=documented("headers"),
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=2,
                reply_to="amq.rabbitmq.reply-to",
            ),
            exchange=EXCHANGE,
            routing_key=pool.queue,
        )

        def both_are_there() -> bool:
            try:
                connection.drain_events(timeout=0.5)
            except TimeoutError:
                return False
            return len(replies) == 2

        wait_until(both_are_there, what="two replies", interval_seconds=0, explain=pool.logs)
    assert replies["order-17"]["outputs"] == {"y": [1.5, 2.5]}
    assert replies["order-18"]["error"]["code"] == PredictionError.INVALID_RECORD
    assert wait_for_answer(pool, "order-17").model_dump(mode="json") == replies["order-17"]


def test_a_program_in_go_gets_an_answer_for_each_record(pool: Platform, tmp_path: Path) -> None:
    program = build(ROOT / "examples" / "go", tmp_path / "predict")
    done = subprocess.run(
        [program, "-queue", pool.queue, "-model", "identity", "-wait", "90s"],
        input='{"x": [1, 2]}\n\n{"x": [3, 4]}\n',
        env={"MILLRACE_BROKER_URL": pool.broker_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, sorted(answer["outputs"]["y"] for answer in answers)) == (0, [[1.0, 2.0], [3.0, 4.0]]), (
        done.stderr + pool.logs()
    )


def test_a_program_in_go_is_told_that_there_is_no_such_queue(pool: Platform, tmp_path: Path) -> None:
    program = build(ROOT / "examples" / "go", tmp_path / "predict")
    done = subprocess.run(
        [program, "-queue", "nobody", "-model", "identity"],
        input='{"x": [1, 2]}\n',
        env={"MILLRACE_BROKER_URL": pool.broker_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (
        1,
        'predict: there is no queue "nobody": name that of a worker pool\n',
    )
