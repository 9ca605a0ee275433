"""Cutting inline records into shards; every other input has an index."""

from hypothesis import given
from hypothesis import strategies as st

from millrace_contracts.inputs import InlineInput, InlineShard
from millrace_worker.tasks.plan import inline_shards


@given(count=st.integers(0, 50), size=st.integers(1, 20))
def test_every_inline_record_is_in_exactly_one_shard_under_its_own_number(count: int, size: int) -> None:
    values = [{"x": i} for i in range(count)]
    shards = list(inline_shards(InlineInput(records=values), size=size))
    assert list(range(len(shards))) == [shard.index for shard in shards]
    numbered = [
        (shard.first_line + i, value)
        for shard in shards
        if isinstance(shard.source, InlineShard)
        for i, value in enumerate(shard.source.records)
    ]
    assert list(enumerate(values, start=1)) == numbered
    assert all(1 <= shard.record_count <= size for shard in shards)
