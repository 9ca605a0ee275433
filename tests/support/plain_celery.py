"""A Celery app that knows nothing of Millrace, with a worker of its own: what a user who adopts it already has."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery
from kombu import Exchange, Queue
from process_logs import whole_lines
from waiters import wait_until

MODULE = """
import os, pathlib, threading
from plain_celery import make_app

app = make_app(os.environ["PLAIN_BROKER_URL"], os.environ["PLAIN_QUEUE"])

@app.task(name="wait_for")
def wait_for(path):
    while not pathlib.Path(path).exists():
        threading.Event().wait(0.05)

@app.task(name="nothing")
def nothing():
    pass
"""


def make_app(broker_url: str, queue: str) -> Any:
    """Make the app as its authors would, with a quorum queue on RabbitMQ."""
    app = Celery("plain", broker=broker_url, set_as_current=False)
    if broker_url.startswith("amqp"):
        exchange = Exchange("plain", type="topic")
        arguments = {"x-queue-type": "quorum"}
        app.conf.task_queues = [Queue(queue, exchange, routing_key=queue, queue_arguments=arguments)]
    app.conf.update(
        task_default_queue=queue,
        task_default_exchange="plain",
        task_default_exchange_type="topic",
        task_default_routing_key=queue,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
    )
    return app


@dataclass
class PlainCelery:
    """The app and one worker."""

    broker_url: str
    queue: str
    folder: Path
    node: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, *, concurrency: int = 2) -> None:
        """Start the worker as anybody would."""
        self.node = self.node or f"celery@{self.queue}"
        (self.folder / "plain_app.py").write_text(MODULE)
        command = [str(Path(sys.executable).parent / "celery"), "-A", "plain_app", "worker", "-c", str(concurrency)]
        command += ["--without-gossip", "--without-mingle", "--loglevel=INFO", f"--hostname={self.node}"]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(Path(__file__).parent)]),
            "PLAIN_BROKER_URL": self.broker_url,
            "PLAIN_QUEUE": self.queue,
        }
        with (self.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder
            )
        try:
            wait_until(lambda: "ready." in self.log, what="the worker", timeout_seconds=90, explain=lambda: self.log)
        except AssertionError:
            self.kill()
            raise

    def send(self, task: str, *arguments: object, **options: object) -> None:
        """Publish a task, as any producer does."""
        with make_app(self.broker_url, self.queue) as app:
            app.send_task(task, args=arguments, **options)

    def stop(self) -> None:
        """Stop the worker, politely."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=30)

    def kill(self) -> None:
        """Stop the worker without a chance to say so."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=30)

    @property
    def log(self) -> str:
        """What the worker logged so far."""
        return whole_lines(self.folder / "worker.log")
