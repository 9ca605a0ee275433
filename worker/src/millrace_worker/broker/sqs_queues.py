"""Queues of SQS: made with the visibility timeout and the redrive policy that tasks need."""

import json
from typing import Any, Final

from millrace_worker.broker.redelivery_counts import DELIVERY_LIMIT

RETENTION_SECONDS: Final = 14 * 86_400
"""The longest that SQS keeps a message: what is kept aside waits for people."""


def declare(channel: Any, *, queue: str, dead_letter_queue: str, visibility_timeout_seconds: int) -> None:
    """Make both queues if they are missing; a redrive policy that is there is left as it is.

    The visibility timeout is set in any case: whoever published first may have made the queue, with kombu's default.
    """
    # kombu's channel makes a queue on first use and knows its URL; it has no public name for that.
    dead_url = channel._new_queue(dead_letter_queue)  # noqa: SLF001 - see above
    url = channel._new_queue(queue)  # noqa: SLF001 - see above
    client = channel.sqs()
    wanted: dict[str, str] = {}
    names = ["RedrivePolicy", "VisibilityTimeout"]
    present = client.get_queue_attributes(QueueUrl=url, AttributeNames=names).get("Attributes", {})
    if present.get("VisibilityTimeout") != str(visibility_timeout_seconds):
        wanted["VisibilityTimeout"] = str(visibility_timeout_seconds)
    if "RedrivePolicy" not in present:
        dead = client.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]
        policy = {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": str(DELIVERY_LIMIT)}
        wanted["RedrivePolicy"] = json.dumps(policy)
        client.set_queue_attributes(QueueUrl=dead_url, Attributes={"MessageRetentionPeriod": str(RETENTION_SECONDS)})
    if wanted:
        client.set_queue_attributes(QueueUrl=url, Attributes=wanted)
