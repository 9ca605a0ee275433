from hypothesis import given
from hypothesis import strategies as st

from millrace_operator.api.conditions import Condition, ConditionStatus, find_condition, merge_conditions
from millrace_operator.api.timestamps import to_epoch_seconds, to_rfc3339

READY = Condition(type="Ready", status="True", reason="AllGood", message="All is well.")


def ready(status: ConditionStatus, reason: str) -> Condition:
    return Condition(type="Ready", status=status, reason=reason, message="m")


def test_a_condition_is_written_with_all_that_the_schema_requires() -> None:
    assert [
        {
            "type": "Ready",
            "status": "True",
            "reason": "AllGood",
            "message": "All is well.",
            "lastTransitionTime": "1970-01-01T00:00:07Z",
            "observedGeneration": 3,
        }
    ] == merge_conditions([], [READY], generation=3, now=7)


@given(st.sampled_from(["True", "False", "Unknown"]), st.sampled_from(["True", "False", "Unknown"]))
def test_the_transition_time_moves_only_with_the_status(before: ConditionStatus, after: ConditionStatus) -> None:
    first = merge_conditions([], [ready(before, "A")], generation=1, now=1)
    second = merge_conditions(first, [ready(after, "B")], generation=1, now=2)
    assert ("1970-01-01T00:00:01Z" if before == after else "1970-01-01T00:00:02Z") == second[0]["lastTransitionTime"]


def test_conditions_that_are_not_spoken_of_stay_and_keep_their_place() -> None:
    first = merge_conditions(
        [], [ready("True", "A"), Condition(type="Other", status="False", reason="B", message="")], generation=1, now=1
    )
    second = merge_conditions(first, [ready("False", "C")], generation=2, now=2)
    assert ["Ready", "Other"] == [condition["type"] for condition in second]
    assert first[1] == second[1]


def test_a_message_that_is_too_long_is_cut_so_that_the_api_takes_it() -> None:
    long = Condition(type="Ready", status="True", reason="R" * 200, message="x" * 5000)
    merged = merge_conditions([], [long], generation=1, now=0)[0]
    assert (2048, 128, "…") == (len(merged["message"]), len(merged["reason"]), merged["message"][-1])


def test_what_nobody_has_said_is_not_found() -> None:
    assert find_condition([], "Ready") is None


@given(st.integers(0, 4_000_000_000))
def test_times_survive_being_written_and_read(seconds: int) -> None:
    assert seconds == to_epoch_seconds(to_rfc3339(seconds))
