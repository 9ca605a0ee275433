"""JSON lines by byte offset."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace_worker.errors import InputUnusable
from millrace_worker.storage import jsonl

LINES = st.lists(
    st.sampled_from([b"", b"  ", b"\t\r", b"{}", b'{"a": 1}', b"not json", '{"k": "\u00e9"}'.encode()]), max_size=60
)


@given(lines=LINES, size=st.integers(1, 9), end=st.sampled_from([b"", b"\n"]))
def test_every_line_that_is_not_blank_is_in_exactly_one_extent(lines: list[bytes], size: int, end: bytes) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "records.jsonl"
        file.write_bytes(b"\n".join(lines) + end)
        extents = list(jsonl.cut(file, records_per_extent=size))
        read = [(line.number, line.text.strip()) for extent in extents for line in jsonl.read(file, extent)]
    assert read == [(i, line.strip()) for i, line in enumerate(lines, start=1) if line.strip()]
    assert [extent.record_count for extent in extents[:-1]] == [size] * (len(extents) - 1)
    assert sum(extent.record_count for extent in extents) == len(read)


def test_a_line_that_is_too_long_is_cut_and_its_neighbours_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 8)
    monkeypatch.setattr(jsonl, "_PIECE_BYTES", 4)
    file = tmp_path / "records.jsonl"
    file.write_bytes(b'{"a":1}\n{"a":123456789}\n{"a":2}\n')
    (extent,) = jsonl.cut(file, records_per_extent=10)
    assert [(line.number, line.is_cut) for line in jsonl.read(file, extent)] == [(1, False), (2, True), (3, False)]


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08rest", b"PAR1rest", b'{"a": \0}\n'])
def test_a_binary_file_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "records.jsonl.gz"
    file.write_bytes(content)
    with pytest.raises(InputUnusable, match="is not text; write one JSON object a line, uncompressed"):
        list(jsonl.cut(file, records_per_extent=10))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "the line is not JSON: Expecting property name enclosed in double quotes at column 2"),
        (b'{"a": [1, 2,\r\n', "the line is not JSON: Expecting value at column 13"),
        (b"[1]", "the line is not a JSON object but a list"),
        (b"null", "the line is not a JSON object but null"),
        (b'{"a": NaN}', "the line is not JSON: NaN is not a number there"),
        (b'{"a": "\xff"}', "the line is not UTF-8: invalid start byte at byte 8"),
        (b'{"a": ' + b"[" * 100_000, "the line is nested deeper than 64 levels"),
    ],
)
def test_a_malformed_line_says_what_is_wrong(line: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match="the line") as caught:
        jsonl.parse(line)
    assert str(caught.value) == problem


def test_a_byte_order_mark_is_no_part_of_the_record() -> None:
    assert jsonl.parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
