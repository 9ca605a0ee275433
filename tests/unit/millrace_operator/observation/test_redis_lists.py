"""Which queue a message belongs to, from the end of its entry in Celery's hash of held messages."""

import json

import pytest

from millrace_operator.observation.redis_lists import Address, address_in

MESSAGE = {"body": "W1tdXQ==", "headers": {"argsrepr": '(\'}, "x", "y"]\',)'}, "properties": {"priority": 0}}


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_exchange_and_routing_key_stand_at_the_end(separators: tuple[str, str]) -> None:
    end = json.dumps([MESSAGE, "work", "digits"], separators=separators)

    assert Address("work", "digits") == address_in(end)


def test_the_end_is_enough() -> None:
    assert Address("", "digits") == address_in(json.dumps([MESSAGE, "", "digits"])[-40:])


def test_names_may_hold_any_character() -> None:
    assert Address('a "b"', "zähler\\]") == address_in(json.dumps([MESSAGE, 'a "b"', "zähler\\]"]))


@pytest.mark.parametrize("end", ["", "[]", json.dumps([MESSAGE, None, "digits"]), '"cut off", "digits"]'])
def test_what_cannot_be_understood_belongs_nowhere(end: str) -> None:
    assert address_in(end) is None
