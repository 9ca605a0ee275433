"""Notifications of a job: signed webhooks, until the receiver has taken or refused them."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waiters import wait_until
from worker_jobs import Platform

from millrace_contracts.tasks import NOTIFY, JobRef, NotifyTask
from millrace_worker.clock import seconds_since_epoch


@dataclass
class Receiver:
    """A server that answers as it is told, the last answer for ever, and keeps what it got."""

    address: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def receiver(*answers: int, location: str = "") -> Iterator[Receiver]:
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            known.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            if location:
                self.send_header("location", location)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is that of http.server
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Receiver(address=f"http://127.0.0.1:{server.server_address[1]}/hook?token=hidden")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def notify(pool: Platform, url: str, *, uid: str, secret: str = "") -> None:
    task = NotifyTask(
        job=JobRef(namespace="test", name="job", uid=uid),
        event="Succeeded",
        at=seconds_since_epoch(),
        body={"event": "Succeeded", "records": {"total": 3}},
        webhook_url=url,
        webhook_secret=secret,
    )
    pool.publish(NOTIFY, {"payload": task.model_dump(mode="json")}, f"{uid}:notify")


def wait_for_log(pool: Platform, words: str, uid: str) -> str:
    def line() -> str | None:
        lines = pool.workers[0].log.splitlines()
        return next((line for line in lines if words in line and f'"uid": "{uid}"' in line), None)

    return str(wait_until(line, what=words, explain=pool.logs))


def test_a_webhook_is_signed_and_comes_again_with_the_same_id_until_it_is_taken(pool: Platform) -> None:
    (pool.secrets / "hook").write_text("very secret\n")
    with receiver(503, 429, 204) as known:
        notify(pool, known.address, uid="uid-1", secret="hook")
        wait_for_log(pool, "notification sent", "uid-1")
    headers, body = known.got[-1]
    assert {"event": "Succeeded", "records": {"total": 3}} == json.loads(body)
    assert ["uid-1:Succeeded"] * 3 == [got["webhook-id"] for got, _ in known.got]
    signed = f"uid-1:Succeeded.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"very secret", signed, hashlib.sha256).digest()
    assert f"v1,{base64.b64encode(digest).decode()}" == headers["webhook-signature"]


def test_a_webhook_that_is_refused_or_sent_to_another_host_is_given_up(pool: Platform) -> None:
    with receiver(200) as elsewhere, receiver(410) as refusing, receiver(307, location=elsewhere.address) as sending:
        notify(pool, refusing.address, uid="uid-2")
        notify(pool, sending.address, uid="uid-3")
        assert "127.0.0.1 answers 410" in wait_for_log(pool, "notification given up", "uid-2")
        assert "redirects to another host" in wait_for_log(pool, "notification given up", "uid-3")
    assert [1, 1, 0] == [len(server.got) for server in (refusing, sending, elsewhere)]
    assert "hidden" not in pool.workers[0].log


def test_a_webhook_is_never_sent_without_the_signature_that_it_is_to_have(pool: Platform) -> None:
    with receiver(200) as known:
        notify(pool, known.address, uid="uid-4", secret="late")
        wait_for_log(pool, "task waits", "uid-4")
        (pool.secrets / "late").write_text("whsec_bGF0ZQ==")
        wait_for_log(pool, "notification sent", "uid-4")
    assert ["v1"] == [headers["webhook-signature"].partition(",")[0] for headers, _ in known.got]
