"""A task as an AMQP 0-9-1 message, in the form that Celery calls protocol 2.

Whoever can speak AMQP can send a task: publish `Message.body` to the exchange `millrace` with the routing key of the
pool's queue, with these properties and headers. The form is from Celery's documentation, "Message Protocol", version 2.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What an AMQP client publishes."""

    body: bytes
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    """content_type, content_encoding, correlation_id and delivery_mode, as AMQP names them."""


def task_message(
    task: str, *, task_id: str, kwargs: Mapping[str, Any], expires: str | None = None, origin: str = ""
) -> Message:
    """Make the message of a task that is called with keyword arguments.

    `expires` is an ISO 8601 time with zone after which a worker drops the task. `origin` says who sent it, for Flower.

    Raises:
        ValueError: the arguments are not JSON.
    """
    encoded = json.dumps(dict(kwargs), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return encoded_task_message(task, task_id=task_id, kwargs_json=encoded, expires=expires, origin=origin)


def encoded_task_message(
    task: str, *, task_id: str, kwargs_json: bytes, expires: str | None = None, origin: str = ""
) -> Message:
    """Make the same message from keyword arguments that are a JSON object in UTF-8 already."""
    body = b'[[],%b,{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]' % kwargs_json
    headers = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "shadow": None,
        "eta": None,
        "expires": expires,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "()",
        # Arguments are records of users: they stay out of events and logs.
        "kwargsrepr": "{...}",
        "origin": origin,
        "ignore_result": True,
    }
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "correlation_id": task_id,
        "delivery_mode": 2,
    }
    return Message(body=body, headers=headers, properties=properties)
