"""What operator and workers agree on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from millrace_contracts import ledger, metrics, results
from millrace_contracts.inputs import InlineInput
from millrace_contracts.outputs import ClaimOutput, RedisOutput
from millrace_contracts.tasks import JobRef, JobSpec, ModelRef, PlanTask


def plan_task(records: list[dict[str, Any]], output: RedisOutput | ClaimOutput) -> PlanTask:
    spec = JobSpec(job=JobRef(namespace="n", name="j", uid="u"), model=ModelRef(name="m"), output=output, queue="q")
    return PlanTask(spec=spec, input=InlineInput(records=records))


@given(
    records=st.lists(st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3), max_size=5),
    output=st.sampled_from([RedisOutput(ttl_seconds=60), ClaimOutput(claim_name="c", path="p")]),
)
def test_a_payload_comes_out_of_a_message_as_it_went_in(
    records: list[dict[str, Any]], output: RedisOutput | ClaimOutput
) -> None:
    task = plan_task(records, output)
    assert PlanTask.model_validate_json(task.model_dump_json()) == task


def test_a_payload_with_an_unknown_field_is_refused() -> None:
    payload = plan_task([], RedisOutput()).model_dump(mode="json") | {"priority": 1}
    with pytest.raises(ValidationError, match="priority"):
        PlanTask.model_validate(payload)


def test_all_keys_of_a_job_share_one_hash_tag() -> None:
    keys = [*ledger.ledger_keys("u"), results.results_key("u"), results.errors_key("u"), results.manifest_key("u")]
    assert {key[key.index("{") : key.index("}") + 1] for key in keys} == {"{u}"}
    assert len(set(keys)) == len(keys)


@given(st.integers(0, 99_999), st.integers(0, 99_999))
def test_part_files_sort_in_the_order_of_their_shards(first: int, second: int) -> None:
    names = (results.part_file(first), results.part_file(second))
    assert (names[0] < names[1]) == (first < second)


def test_a_counter_says_total_and_a_time_says_seconds() -> None:
    for metric in vars(metrics).values():
        if isinstance(metric, metrics.Metric):
            assert metric.name.startswith("millrace_")
            assert metric.name == metric.name.lower()
