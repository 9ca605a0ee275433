"""Where each shard of a job lies, in 32 bytes a shard: a job of ten million records has an index of some 600 kB.

An entry is file number, record count, first line, offset and length, as unsigned little-endian integers of 4, 4, 8, 8
and 8 bytes; their meaning is that of FileShard (KafkaShard: partition, records, 1 + start, start offset, end - start).
Of inline records the file number is that of the shard, whose records stand beside the index, and the others count
records of the job.
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

_ENTRY: Final = struct.Struct("<IIQQQ")
ENTRY_BYTES: Final = _ENTRY.size


class Extent(NamedTuple):
    """One shard."""

    file_number: int
    record_count: int
    first_line: int
    offset: int
    length: int


def pack(extents: Iterable[Extent]) -> bytes:
    """Write entries one after the other; shard i begins at byte i * ENTRY_BYTES."""
    return b"".join(_ENTRY.pack(*extent) for extent in extents)


def unpack(entry: bytes) -> Extent:
    """Read one entry; raises struct.error where there is none."""
    return Extent(*_ENTRY.unpack(entry))


WRITE_INDEX: Final = """
-- KEYS: job, index, files, new index, new files.
-- Answers 1 if this index stands now, 0 if another did or the job is gone.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('DEL', KEYS[4], KEYS[5])
  return 0
end
redis.call('RENAME', KEYS[4], KEYS[2])
redis.call('PERSIST', KEYS[2])
if redis.call('EXISTS', KEYS[5]) == 1 then
  redis.call('RENAME', KEYS[5], KEYS[3])
  redis.call('PERSIST', KEYS[3])
end
return 1
"""
"""A plan writes its index under names of its own, which go away by themselves; the first that is whole stands."""
