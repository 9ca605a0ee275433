"""Text that cannot be written as UTF-8 is one record's mistake, named without that text, and nobody else's."""

import pytest

from millrace_worker.errors import RecordInvalid
from millrace_worker.inference import codec
from millrace_worker.inference.model import ModelSignature, TensorSpec

HALF_OF_A_PAIR = "\ud800"


def model_of(name: str, datatype: str) -> ModelSignature:
    inputs = (TensorSpec(name=name, datatype=datatype, dims=(1,)),)
    return ModelSignature(name="m", requested_version="", inputs=inputs, max_batch_size=8)


@pytest.mark.parametrize("record", [{"text": [HALF_OF_A_PAIR]}, {HALF_OF_A_PAIR: ["text"]}])
def test_half_of_a_surrogate_pair_makes_its_record_invalid(record: dict[str, list[str]]) -> None:
    with pytest.raises(RecordInvalid) as caught:
        codec.encode(record, model_of("text", "BYTES"))

    assert HALF_OF_A_PAIR not in str(caught.value)


def test_a_number_that_is_none_is_not_called_too_large() -> None:
    with pytest.raises(RecordInvalid, match="NaN"):
        codec.encode({"x": [float("nan")]}, model_of("x", "FP32"))
