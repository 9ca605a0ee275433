"""What a shard notes beside its results."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.errors import RecordError
from millrace_contracts.inputs import FileRef, FileShard, Shard
from millrace_contracts.results import Part
from millrace_worker.checkpoints import read_checkpoint, write_checkpoint
from millrace_worker.ledger import FailureTally, ShardCounts

FILE = FileShard(file=FileRef(uri="claim:data/in.jsonl", version="1"), offset=0, length=90)
SHARD = Shard(index=4, first_line=1, record_count=9, source=FILE)
COUNTS = ShardCounts(planned=9, succeeded=8, failed=1)


@given(
    numbers=st.lists(st.integers(0, 10_000), min_size=6, max_size=6),
    code=st.sampled_from(RecordError),
    text=st.text(max_size=20),
)
def test_what_is_read_is_what_was_written(numbers: list[int], code: RecordError, text: str) -> None:
    succeeded, failed, retried, cached, ignored, dead_lettered = numbers
    counts = ShardCounts(
        planned=9,
        succeeded=succeeded,
        failed=failed,
        retried=retried,
        cached=cached,
        ignored=ignored,
        dead_lettered=dead_lettered,
        model_version=text,
        failures={code: FailureTally(count=failed, message=text, key=text)},
        parts=(Part(name="part-00004.jsonl", records=succeeded, size_bytes=7, sha256="ab"),),
    )
    assert counts == read_checkpoint(write_checkpoint(SHARD, counts), SHARD)


@pytest.mark.parametrize(
    "other",
    [
        SHARD.model_copy(update={"first_line": 2}),
        SHARD.model_copy(update={"source": FILE.model_copy(update={"length": 91})}),
        SHARD.model_copy(update={"source": FILE.model_copy(update={"file": FileRef(uri=FILE.file.uri, version="2")})}),
    ],
)
def test_a_checkpoint_of_other_records_counts_for_nothing(other: Shard) -> None:
    assert read_checkpoint(write_checkpoint(other, COUNTS), SHARD) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"shard": 1}'])
def test_a_damaged_checkpoint_counts_for_nothing(text: str) -> None:
    assert read_checkpoint(text, SHARD) is None


def test_a_cut_off_checkpoint_counts_for_nothing() -> None:
    whole = write_checkpoint(SHARD, replace(COUNTS, model_version="1"))
    assert all(read_checkpoint(whole[:length], SHARD) is None for length in range(len(whole)))
