"""Tell a receiver of an event of a job: a webhook signed after https://www.standardwebhooks.com, or a topic of Kafka.

At least once. A receiver that is told twice sees the same `webhook-id` (the message's key in Kafka) and may drop it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from millrace_contracts.tasks import NotifyTask
from millrace_worker.context import Context
from millrace_worker.errors import OutputUnwritable, ReceiverUnavailable
from millrace_worker.kafka_message import KafkaMessage
from millrace_worker.logs import get_logger

TIMEOUT_SECONDS: Final = 10
LONGEST_PAUSE_SECONDS: Final = 100
"""Less than the margin of the visibility timeout of brokers that keep a countdown in a worker's memory."""
GIVEN_UP_AFTER_SECONDS: Final = 86_400
MAX_HOPS: Final = 3

_MAY_PASS: Final = frozenset({408, 425, 429})
_KEEPS_METHOD: Final = frozenset({307, 308})

log = get_logger(__name__)


def notify(task: NotifyTask, context: Context) -> None:
    """Send the notification; returns when the receiver has it or refuses it for good, or raises Unavailable."""
    about = {"job": task.job.name, "uid": task.job.uid, "notification": task.event}
    body = json.dumps(task.body, ensure_ascii=False, separators=(",", ":"))
    if task.kafka_topic:
        try:
            context.kafka.send([_message(task, body)])
        except OutputUnwritable as error:
            log.error("notification given up: Kafka refuses it", topic=task.kafka_topic, why=str(error), **about)  # noqa: TRY400 - it says all
            return
    else:
        refusal = _post(task, body.encode(), context)
        if refusal:
            log.error("notification given up: its receiver refuses it", why=refusal, **about)
            return
    log.info("notification sent", **about)


def _message(task: NotifyTask, body: str) -> KafkaMessage:
    # One key a job: its events stay in their order.
    return KafkaMessage(
        topic=task.kafka_topic,
        key=f"{task.job.namespace}/{task.job.name}",
        value=body,
        headers=(("webhook-id", notification_id(task)),),
    )


def notification_id(task: NotifyTask) -> str:
    """Name the event, the same each time that it is sent."""
    return f"{task.job.uid}:{task.event}"


def is_too_old(task: NotifyTask, *, now: float) -> bool:
    """Say whether nobody needs to be told any more."""
    return now - task.at > GIVEN_UP_AFTER_SECONDS


def pause_seconds(tries: int) -> int:
    """Answer how long to wait after so many tries: growing, and spread."""
    longest: int = min(LONGEST_PAUSE_SECONDS, 2 ** min(tries + 1, 10))
    return random.randint(max(1, longest // 2), longest)  # noqa: S311 - spreads load


def signature(secret: str, *, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign a body; raises ValueError where a secret begins with whsec_ and is not base64."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _headers(task: NotifyTask, body: bytes, context: Context) -> dict[str, str]:
    message_id, timestamp = notification_id(task), int(context.now())
    headers = {
        "content-type": "application/json",
        "user-agent": "millrace",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if task.webhook_secret:
        secret = _secret(context.settings.notification_secrets_dir, task.webhook_secret)
        try:
            headers["webhook-signature"] = signature(secret, message_id=message_id, timestamp=timestamp, body=body)
        except binascii.Error as error:
            raise ReceiverUnavailable(
                f'the secret "{task.webhook_secret}" begins with whsec_ and is not base64; correct it in the Secret of '
                "notifications.existingSecret"
            ) from error
    return headers


def _secret(folder: Path | None, name: str) -> str:
    """Read it each time: the file changes when its Secret does."""
    advice = "add it as a key to the Secret that notifications.existingSecret of the chart names"
    if folder is None or Path(name).name != name:
        raise ReceiverUnavailable(f'the system pool has no secret "{name}" to sign with; {advice}')
    try:
        return (folder / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        # An unsigned webhook would be dropped, or worse, believed.
        raise ReceiverUnavailable(f'the secret "{name}" cannot be read ({type(error).__name__}); {advice}') from error


def _post(task: NotifyTask, body: bytes, context: Context) -> str:
    """Post it; answers why it was refused for good, or nothing."""
    headers = _headers(task, body, context)
    # A path or a query may hold a token, so words name the host alone.
    url = httpx.URL(task.webhook_url)
    host = url.host
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
            for _ in range(MAX_HOPS):
                status, location = _send(client, url, headers, body)
                if status not in _KEEPS_METHOD:
                    break
                following = url.join(location)
                if (following.scheme, following.host, following.port) != (url.scheme, url.host, url.port):
                    return f"{host} redirects to another host"
                url = following
    except (httpx.TransportError, OSError) as error:
        raise ReceiverUnavailable(f"the receiver at {host} does not answer: {type(error).__name__}") from error
    if httpx.codes.is_success(status):
        return ""
    if httpx.codes.is_server_error(status) or status in _MAY_PASS:
        raise ReceiverUnavailable(f"the receiver at {host} answers {status}")
    return f"{host} answers {status}"


def _send(client: httpx.Client, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    # The answer's body is of no interest, and may be endless.
    with client.stream("POST", url, headers=dict(headers), content=body) as answer:
        return answer.status_code, answer.headers.get("location", "")
