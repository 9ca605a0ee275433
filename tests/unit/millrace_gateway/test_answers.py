"""Answers by prediction id, in whatever order answer and question come."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from redis.asyncio import Redis

from millrace_gateway.answers import RECENT_ANSWERS, Answers
from millrace_gateway.pipelining import Pipelined
from millrace_gateway.store import Store, taken_from


def answers() -> Answers:
    client = Redis()
    return Answers(client, Store(Pipelined(client), ttl_seconds=60), channel="own")


def hear(known: Answers, name: str) -> None:
    """Let a message come in, as the channel brings it."""
    known.hear({"type": "message", "data": json.dumps({"id": name, "state": "Succeeded"}).encode()})


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_all_who_wait_for_an_answer_get_it_and_nobody_else() -> None:
    async def test() -> None:
        known = answers()
        futures = [known.expect("a"), known.expect("b", "a"), known.expect("b")]
        hear(known, "a")
        assert [True, True, False] == [future.done() for future in futures]

    run(test())


def test_an_answer_that_was_faster_than_the_question_is_there() -> None:
    async def test() -> None:
        known = answers()
        hear(known, "a")
        assert "a" == (await known.expect("a"))["id"]

    run(test())


def test_only_so_many_answers_are_remembered() -> None:
    async def test() -> None:
        known = answers()
        for i in range(RECENT_ANSWERS + 1):
            hear(known, f"{i}")
        assert not known.expect("0").done()
        assert known.expect("1").done()

    run(test())


def test_what_is_no_answer_is_left_alone() -> None:
    async def test() -> None:
        known = answers()
        future = known.expect("a")
        for data in (b"", b"[]", b"{}", b"3", b'{"id": 4}'):
            known.hear({"type": "message", "data": data})
        assert not future.done()

    run(test())


def test_a_shared_answer_becomes_the_callers_own() -> None:
    own = {"id": "mine", "state": "Pending", "accepted_at": 1.0, "same_as": "flight"}
    shared = {"id": "flight", "state": "Succeeded", "accepted_at": 9.0, "outputs": {"y": 1}}
    taken = taken_from(shared, own)
    assert ("mine", 1.0, {"y": 1}) == (taken["id"], taken["accepted_at"], taken["outputs"])


def test_a_prediction_that_was_cancelled_does_not_take_a_shared_answer() -> None:
    own = {"id": "mine", "state": "Cancelled", "accepted_at": 1.0}
    assert own == taken_from({"id": "flight", "state": "Succeeded"}, own)
