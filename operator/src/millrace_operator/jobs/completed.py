"""Write the tasks of a job that are done as a short text, from the bitmap in its ledger. Pure."""

import re
from typing import Final

COMPLETED_LIMIT: Final = 4096
_RUN: Final = re.compile("1+")


def list_completed(done_bits: bytes, *, limit: int = COMPLETED_LIMIT) -> str:
    """Write "0,3-5"; a list that is longer than `limit` characters ends in "…" after the last range that has room."""
    if not done_bits:
        return ""
    # The first bit of Redis is the highest of the first byte; a 1 in front keeps the zeros that lead.
    bits = bin(int.from_bytes(b"\x01" + done_bits, "big"))[3:]
    ranges: list[str] = []
    length = 0
    for run in _RUN.finditer(bits):
        first, last = run.start(), run.end() - 1
        text = str(first) if first == last else f"{first}-{last}"
        length += len(text) + 1
        if length > limit - 1:
            return ",".join([*ranges, "…"]) if ranges else "…"
        ranges.append(text)
    return ",".join(ranges)
