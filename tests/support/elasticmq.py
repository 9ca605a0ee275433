"""A server of SQS's protocol: ElasticMQ."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from containers import free_port
from java_servers import SMALL, jars, running

CONFIGURATION = """
include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats {{ enabled = false }}
"""


@dataclass(frozen=True)
class ElasticMQ:
    """The server, and what tests ask of it."""

    port: int

    @property
    def url(self) -> str:
        """The broker's URL."""
        return f"sqs://x:x@127.0.0.1:{self.port}//"

    @property
    def client(self) -> Any:
        """A client of SQS."""
        return boto3.client(
            "sqs",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def attributes(self, queue: str) -> Mapping[str, str]:
        """Answer the attributes of a queue."""
        client = self.client
        url = client.get_queue_url(QueueName=queue)["QueueUrl"]
        return dict(client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])

    def is_ready(self) -> bool:
        """Say whether it answers."""
        try:
            self.client.list_queues()
        except (BotoCoreError, ClientError):
            return False
        return True


@contextmanager
def elasticmq() -> Iterator[ElasticMQ]:
    """Run it for the time of the block."""
    folder, server = jars("elasticmq"), ElasticMQ(free_port())
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as configuration:
        configuration.write(CONFIGURATION.format(port=server.port))
        configuration.flush()
        arguments = [*SMALL, "-Xmx96m", f"-Dconfig.file={Path(configuration.name)}", "-cp", f"{folder}/*"]
        with running([*arguments, "org.elasticmq.server.Main"], what="ElasticMQ", is_ready=server.is_ready):
            yield server
