"""Jobs that cannot be done are stopped, with a reason and a sentence that says what to do."""

from pathlib import Path

import pytest
from waiters import wait_until
from worker_jobs import Platform, claim_output

from millrace_contracts.inputs import ClaimInput, HttpInput
from millrace_contracts.ledger import Field


def test_an_unknown_model_is_named_with_those_that_there_are(pool: Platform) -> None:
    reason, message = pool.submit(pool.spec(model="nosuch"), [{"x": [1, 2]}]).wait_until_stopped()
    assert reason == "ModelNotFound"
    assert 'no model "nosuch"' in message
    assert "identity version 1" in message


def test_an_unknown_version_is_named_with_those_that_there_are(pool: Platform) -> None:
    spec = pool.spec()
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"version": "7"})})
    reason, message = pool.submit(spec, [{"x": [1, 2]}]).wait_until_stopped()
    assert reason == "ModelNotFound"
    assert 'no model "identity" version 7' in message
    assert "identity version 1" in message


def test_a_decoupled_model_is_refused(pool: Platform) -> None:
    reason, message = pool.submit(pool.spec(model="decoupled"), [{"x": [1, 2]}]).wait_until_stopped()
    assert (reason, "decoupled" in message) == ("ModelIncompatible", True)


def test_a_pool_without_triton_says_so(platform: Platform) -> None:
    platform.worker(concurrency=1, MILLRACE_TRITON_URL="")
    reason, message = platform.submit(platform.spec(), [{"x": [1, 2]}]).wait_until_stopped()
    assert reason == "ModelNotFound"
    assert f'the pool of queue "{platform.queue}" has no Triton' in message


def test_a_plan_that_has_to_wait_says_what_for(pool: Platform) -> None:
    job = pool.submit(pool.spec(), HttpInput(urls=["http://127.0.0.1:9/records.jsonl"]))
    said = wait_until(lambda: job.fields.get(Field.WAITING_FOR), what="the reason to wait", explain=job.explain)
    assert "http://127.0.0.1:9/records.jsonl" in said
    assert "" == job.fields.get(Field.STOP_REASON, "")


def test_a_file_that_is_not_there_is_named(pool: Platform) -> None:
    job = pool.submit(pool.spec(), ClaimInput(claim_name="data", path="in/none.jsonl"))
    reason, message = job.wait_until_stopped()
    assert reason == "InputNotFound"
    assert 'no file "in/none.jsonl" on claim "data"' in message


def test_a_claim_that_is_not_mounted_is_named_with_what_to_do(pool: Platform) -> None:
    reason, message = pool.submit(pool.spec(), ClaimInput(claim_name="other", path="a")).wait_until_stopped()
    assert reason == "InputNotFound"
    assert "add it to dataClaims" in message


@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_an_empty_input_is_said_to_be_empty(pool: Platform, lines: list[str]) -> None:
    reason, _ = pool.submit(pool.spec(), pool.write_input(lines)).wait_until_stopped()
    assert reason == "InputEmpty"


def test_an_input_that_is_no_text_is_refused(pool: Platform) -> None:
    Path(pool.claim / "model.onnx").write_bytes(b"\x08\x07\0\0\xff\xfe" * 100)
    reason, message = pool.submit(pool.spec(), ClaimInput(claim_name="data", path="model.onnx")).wait_until_stopped()
    assert (reason, "is not text" in message) == ("InputInvalid", True)


def test_an_output_folder_that_cannot_be_made_is_said_before_anything_is_predicted(pool: Platform) -> None:
    (pool.claim / "file").touch()
    job = pool.submit(pool.spec(output=claim_output("file/out")), [{"x": [1, 2]}])
    reason, message = job.wait_until_stopped()
    assert reason == "OutputWriteFailed"
    assert "a file stands where a folder is needed" in message
    assert job.counts == (0, 0, 0)
