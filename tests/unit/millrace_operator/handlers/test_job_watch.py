"""The watch of the jobs goes on where it was, begins anew where it must, and ends with the operator."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from operator_jobs import job_body

from millrace_operator.errors import KubernetesError, WatchExpired
from millrace_operator.handlers.job_watch import run_job_watch
from millrace_operator.handlers.object_store import ObjectStore

Event = tuple[str, dict[str, Any]]


def event(kind: str, uid: str, version: int) -> Event:
    body = job_body(name=uid, uid=uid)
    return kind, body | {"metadata": body["metadata"] | {"resourceVersion": str(version)}}


class Api:
    """Plays one answer after the other, then is away."""

    def __init__(self, *answers: list[Event] | Exception) -> None:
        self.answers = list(answers)
        self.versions: list[str] = []
        self.has_played = threading.Event()

    def stream_objects(  # noqa: D102 - as the client has it
        self, plural: str, *, namespace: str, version: str, server_seconds: int
    ) -> Iterator[Event]:
        assert ("predictionjobs", "ml", 300) == (plural, namespace, server_seconds)
        if not self.answers:
            self.has_played.set()
            raise KubernetesError("nothing more is played")
        self.versions.append(version)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        yield from answer


def watch(*answers: list[Event] | Exception) -> tuple[Api, set[str]]:
    """Watch until the answers have run out; return what was asked and which jobs are known."""
    api, objects = Api(*answers), ObjectStore()
    context: Any = SimpleNamespace(kubernetes=api, objects=objects, settings=SimpleNamespace(namespaces=("ml",)))

    async def until_the_end() -> None:
        task = asyncio.create_task(run_job_watch(context))
        assert await asyncio.to_thread(api.has_played.wait, 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(until_the_end())
    return api, set(objects.prediction_jobs.uids())


def test_objects_come_and_go() -> None:
    _, known = watch([event("ADDED", "a", 1), event("ADDED", "b", 2), event("DELETED", "a", 3)])
    assert {"b"} == known


def test_a_watch_goes_on_where_it_was_also_after_a_bookmark() -> None:
    bookmark = ("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    api, known = watch([event("ADDED", "a", 1), bookmark], [event("ADDED", "b", 10)])
    assert (["", "9"], {"a", "b"}) == (api.versions, known)


def test_a_watch_whose_place_is_forgotten_begins_anew() -> None:
    api, known = watch([event("ADDED", "a", 1)], WatchExpired("410"), [event("ADDED", "b", 10)])
    assert (["", "1", ""], {"a", "b"}) == (api.versions, known)


def test_an_api_that_does_not_answer_is_asked_again(monkeypatch: Any) -> None:
    monkeypatch.setattr("millrace_operator.handlers.job_watch.RETRY_SECONDS", 0.0)
    api, known = watch(KubernetesError("away"), [event("ADDED", "a", 1)])
    assert (["", ""], {"a"}) == (api.versions, known)
