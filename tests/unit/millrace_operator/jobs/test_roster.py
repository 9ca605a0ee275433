"""Jobs that have ended cost nothing, and nothing of them is forgotten."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from operator_jobs import NOW, job_body

from millrace_operator.jobs.roster import Roster

ENDED = {
    "state": "Succeeded",
    "finishTime": "2027-01-15T08:00:00Z",
    "conditions": [{"type": "Succeeded", "status": "True"}],
}


def ended(uid: str, **spec: Any) -> dict[str, Any]:
    return job_body(uid=uid, status=ENDED, **spec)


def test_an_ended_job_is_open_again_when_its_time_to_live_is_over_and_not_before() -> None:
    roster = Roster()
    roster.take([ended("a", ttlSecondsAfterFinished=60), ended("b")])
    assert ([], ["a"]) == (list(roster.open(now=NOW + 59)), list(roster.open(now=NOW + 60)))
    assert {"a", "b"} == set(roster.jobs)


def test_a_time_to_live_that_was_raised_counts() -> None:
    roster = Roster()
    roster.take([ended("a", ttlSecondsAfterFinished=60)])
    roster.take([ended("a", ttlSecondsAfterFinished=600)])
    assert ["a"] == list(roster.open(now=NOW + 60))
    roster.close("a")
    assert ([], ["a"]) == (list(roster.open(now=NOW + 599)), list(roster.open(now=NOW + 600)))


def test_an_ended_job_stays_open_until_everybody_was_told() -> None:
    roster = Roster()
    asked = [{"events": ["Succeeded"], "event": {}}]
    roster.take([ended("a", notifications=asked)])
    assert ["a"] == list(roster.open(now=NOW))
    roster.close("a")
    roster.take([ended("a", notifications=asked)])
    assert [] == list(roster.open(now=NOW))


def test_an_active_job_cannot_be_closed() -> None:
    roster = Roster()
    roster.take([job_body(uid="a")])
    roster.close("a")
    assert ["a"] == list(roster.open(now=NOW))


lists = st.lists(st.dictionaries(st.sampled_from("abcdef"), st.booleans()), min_size=1, max_size=8)


@given(lists)
def test_after_any_changes_the_roster_is_what_the_last_list_says(seen: list[dict[str, bool]]) -> None:
    roster = Roster()
    for each in seen:
        roster.take([ended(uid) if is_ended else job_body(uid=uid) for uid, is_ended in each.items()])
    last = seen[-1]
    assert last.keys() == roster.jobs.keys()
    assert {uid for uid, is_ended in last.items() if not is_ended} == set(roster.open(now=NOW))
    states = {("millrace", "Succeeded"): sum(last.values()), ("millrace", "Pending"): len(last) - sum(last.values())}
    assert {state: count for state, count in states.items() if count} == dict(roster.states)
