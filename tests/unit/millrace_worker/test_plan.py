"""Records that stand in the job itself have an index as those of files have."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.inputs import InlineInput, InlineShard, Reading
from millrace_worker.errors import InputHasNoRecords
from millrace_worker.input.index import InputIndex, index_input, shard_at
from millrace_worker.input.sources import Sources
from millrace_worker.storage.claims import Claims

VALUES = st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.integers(), max_size=3))


def indexed(records: list[dict[str, object]], size: int) -> InputIndex:
    sources = Sources(Claims(Path("no-claims")))
    return index_input(InlineInput(records=records), Reading(), records_per_task=size, sources=sources)


@given(values=st.lists(VALUES, min_size=1, max_size=50), size=st.integers(1, 20))
def test_every_inline_record_is_in_exactly_one_shard_under_its_own_number(values: list[object], size: int) -> None:
    records = [{"x": value} for value in values]
    index = indexed(records, size)
    shards = [shard_at(number, extent, inline=index.inline) for number, extent in enumerate(index.extents)]
    numbered = [
        (shard.first_line + i, record)
        for shard in shards
        if isinstance(shard.source, InlineShard)
        for i, record in enumerate(shard.source.records)
    ]
    assert list(enumerate(records, start=1)) == numbered
    assert (len(records), len(shards)) == (index.record_total, index.shards_total)
    assert all(1 <= shard.record_count <= size for shard in shards)


def test_a_job_without_a_record_is_told_where_to_put_one() -> None:
    with pytest.raises(InputHasNoRecords, match=r"spec\.input\.inline\.records"):
        indexed([], 7)
