from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from operator_jobs import NOW, job, running, view

from millrace_operator.jobs.advance import advance
from millrace_operator.jobs.readings import FailedRecords, LedgerReading
from millrace_operator.jobs.small import STATUS_LIMIT_BYTES, fit, size_bytes

texts = st.sampled_from(["a", "é", "汉", "\U0001f600", '"', "\\", "\n", "\x01"]).flatmap(
    lambda letter: st.integers(0, 3000).map(lambda length: letter * length)
)
failures = st.lists(
    st.builds(FailedRecords, code=st.uuids().map(str), message=texts, count=st.integers(1, 10**9), sample_key=texts),
    max_size=40,
)


@settings(max_examples=60)
@given(failures, texts, texts, st.binary(max_size=4096), st.booleans())
def test_a_status_is_never_larger_than_16_kib(
    failed: list[FailedRecords],
    said: str,
    trouble: str,
    done_bits: bytes,
    is_stopped: bool,  # noqa: FBT001 - hypothesis gives arguments by position
) -> None:
    ledger: LedgerReading = running(
        failures=tuple(failed),
        done_bits=done_bits,
        waiting_for=trouble,
        dead_lettered=1,
        stop_reason="InputInvalid" if is_stopped else "",
        stop_message=said,
    )
    status = advance(view(job(), ledger), now=NOW).status
    assert size_bytes(status) <= STATUS_LIMIT_BYTES


def test_what_fits_is_not_cut() -> None:
    status: dict[str, Any] = {"completedIndexes": "0-3," * 1000, "conditions": [], "failures": []}
    assert status == fit(status)


def test_a_list_of_tasks_is_cut_between_two_of_them() -> None:
    conditions = [{"message": "m" * 13_000}]
    cut = fit({"completedIndexes": ",".join(["10-19"] * 600), "conditions": conditions, "failures": []})
    assert cut["completedIndexes"].endswith("10-19,…")
    assert conditions == cut["conditions"]
