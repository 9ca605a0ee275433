"""Which files a job takes, how they are unpacked, and what is remembered of them from one shard to the next."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from millrace_contracts.inputs import ClaimInput, Compression, FileRef, Reading, RecordFormat
from millrace_worker.errors import InputChanged, InputHasNoRecords, InputMissing, InputUnusable, StorageUnavailable
from millrace_worker.input import claim_files, index, sources
from millrace_worker.input.claim_files import ClaimFiles
from millrace_worker.input.index import index_input, shard_at
from millrace_worker.input.packing import compression_of
from millrace_worker.input.patterns import selection
from millrace_worker.input.read import read_shard
from millrace_worker.input.record import Record
from millrace_worker.input.sources import Sources
from millrace_worker.storage.claims import Claims

LINES = "".join(f'{{"x": {i}}}\n' for i in range(8)).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def files(folder: Path) -> Sources:
    return Sources(Claims(folder.parent))


def plan(files: Sources, path: str, reading: Reading | None = None, size: int = 2) -> index.InputIndex:
    source = ClaimInput(claim_name="data", path=path)
    return index_input(source, reading or Reading(), records_per_task=size, sources=files)


@pytest.mark.parametrize(
    ("includes", "excludes", "taken"),
    [
        ([], [], ["a.jsonl", "x/b.jsonl", "x/y/c.csv"]),
        (["*.jsonl"], [], ["a.jsonl", "x/b.jsonl", "x/_temporary/d.jsonl", ".hidden.jsonl"]),
        (["x/*"], [], ["x/b.jsonl"]),
        (["x/**"], ["_temporary/**", "x/_*/*"], ["x/b.jsonl", "x/y/c.csv"]),
        (["**/*.csv", "?.jsonl"], [], ["a.jsonl", "x/b.jsonl", "x/_temporary/d.jsonl", "x/y/c.csv"]),
        (["[!a].jsonl"], ["d*"], ["x/b.jsonl"]),
    ],
)
def test_patterns_choose_files_by_their_path(includes: list[str], excludes: list[str], taken: list[str]) -> None:
    paths = ["a.jsonl", "x/b.jsonl", "x/y/c.csv", "x/_temporary/d.jsonl", ".hidden.jsonl"]
    assert set(taken) == set(filter(selection(includes, excludes), paths))


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(InputUnusable, match=r'the pattern "\[z-a\]" cannot be understood'):
        selection(["[z-a]"], [])


def test_a_folder_without_a_file_that_is_taken_is_missing(folder: Path, files: Sources) -> None:
    (folder / "_SUCCESS").touch()
    with pytest.raises(InputMissing, match=r'the folder "\." on claim "data" has no file that the job takes'):
        plan(files, ".")


def test_a_folder_of_too_many_files_is_refused(folder: Path, files: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_files, "MAX_FILES", 1)
    for name in ("a", "b"):
        (folder / name).write_bytes(LINES)
    with pytest.raises(InputUnusable, match="has more than 1 files"):
        plan(files, ".")


def test_a_link_in_a_folder_never_leads_out_of_the_claim(folder: Path, files: Sources) -> None:
    (folder.parent / "secret").write_bytes(LINES)
    (folder / "link").symlink_to(folder.parent / "secret")
    with pytest.raises(InputUnusable, match="leads out of claim"):
        plan(files, ".")


@pytest.mark.parametrize(
    ("uri", "compression"),
    [
        ("claim:data/a.jsonl.gz", Compression.GZIP),
        ("s3://data/a.csv.ZST", Compression.ZSTD),
        ("https://host/a.gz?key=1", Compression.GZIP),
        ("https://host/a?file=b.gz", Compression.NONE),
        ("claim:data/a.jsonl", Compression.NONE),
    ],
)
def test_the_end_of_a_name_tells_how_a_file_is_packed(uri: str, compression: Compression) -> None:
    assert compression == compression_of(FileRef(uri=uri), Compression.AUTO)
    assert Compression.ZSTD == compression_of(FileRef(uri=uri), Compression.ZSTD)


def test_a_packed_file_that_is_cut_off_is_named_with_the_place(folder: Path, files: Sources) -> None:
    (folder / "in.gz").write_bytes(gzip.compress(LINES)[:-4])
    with pytest.raises(
        InputUnusable, match=r'"in\.gz" on claim "data" cannot be unpacked as gzip behind its first 72 unpacked bytes'
    ):
        plan(files, "in.gz")


def test_shards_in_order_unpack_a_file_once(folder: Path, files: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "in.gz").write_bytes(gzip.compress(LINES))
    found = plan(files, "in.gz")
    opened: list[str] = []
    stream = ClaimFiles.stream

    def noted(store: ClaimFiles, file: FileRef) -> object:
        opened.append(file.uri)
        return stream(store, file)

    monkeypatch.setattr(ClaimFiles, "stream", noted)
    shards = [shard_at(i, extent, files=found.files) for i, extent in enumerate(found.extents)]
    for shard in shards:
        read_shard(shard, Reading(), sources=files)
    assert 1 == len(opened)
    read_shard(shards[0], Reading(), sources=files)
    read_shard(shards[1], Reading(), sources=files)
    assert 2 == len(opened)


def test_a_place_in_a_file_that_broke_while_it_rested_is_tried_again_from_the_start(files: Sources) -> None:
    key = sources.CursorKey("http://host/a", "v", "None")
    made: list[Resting] = []

    def make() -> Resting:
        made.append(Resting())
        return made[-1]

    def use(cursor: Resting) -> int:
        cursor.used += 1
        if made[0].used == 2 and cursor is made[0]:
            raise StorageUnavailable("the server hung up")
        return cursor.used

    assert 1 == files.with_cursor(key, position=0, make=make, use=use)
    assert 1 == files.with_cursor(key, position=0, make=make, use=use)
    assert [True, False] == [cursor.is_closed for cursor in made]
    files.close()
    assert [True, True] == [cursor.is_closed for cursor in made]


class Resting:
    """A cursor that counts."""

    def __init__(self) -> None:
        self.position = 0
        self.used = 0
        self.is_closed = False

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


@pytest.mark.parametrize("name", ["in.jsonl", "in.gz", "in.csv"])
def test_a_file_that_changed_since_it_was_planned_stops_the_job(folder: Path, files: Sources, name: str) -> None:
    reading = Reading(format=RecordFormat.CSV if name == "in.csv" else RecordFormat.JSONL)
    content = b"x,y\n1,2\n3,4\n" if name == "in.csv" else LINES
    (folder / name).write_bytes(gzip.compress(content) if name == "in.gz" else content)
    found = plan(files, name, reading)
    (folder / name).write_bytes(gzip.compress(content * 2) if name == "in.gz" else content * 2)
    shard = shard_at(0, next(found.extents), files=found.files)
    with pytest.raises(InputChanged, match=f'"{name}" on claim "data" changed while the job ran'):
        read_shard(shard, reading, sources=files)


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.jsonl.zst", "in.parquet"])
def test_a_file_that_was_unpacked_in_part_and_is_replaced_by_an_equal_one_is_noticed(
    folder: Path, files: Sources, name: str
) -> None:
    is_parquet = name.endswith("parquet")
    reading = Reading(format=RecordFormat.PARQUET if is_parquet else RecordFormat.JSONL)
    if is_parquet:
        parquet.write_table(pa.table({"x": list(range(8))}), folder / name)
    else:
        (folder / name).write_bytes(
            gzip.compress(LINES) if name.endswith("gz") else pa.compress(LINES, "zstd", asbytes=True)
        )
    found = plan(files, name, reading)
    shards = [shard_at(i, extent, files=found.files) for i, extent in enumerate(found.extents)]
    read_shard(shards[0], reading, sources=files)
    content = (folder / name).read_bytes()
    (folder / "new").write_bytes(content)
    (folder / "new").replace(folder / name)
    with pytest.raises(InputChanged, match=f'"{name}" on claim "data" changed while the job ran'):
        read_shard(shards[1], reading, sources=files)


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
def test_a_file_without_a_record_is_named(folder: Path, files: Sources, content: bytes) -> None:
    (folder / "in.jsonl").write_bytes(content)
    with pytest.raises(InputHasNoRecords, match=r'"in\.jsonl" on claim "data" has no record'):
        plan(files, "in.jsonl")


def test_a_file_that_is_packed_against_its_name_is_told_from_one_that_is_no_text(folder: Path, files: Sources) -> None:
    (folder / "in.jsonl").write_bytes(gzip.compress(LINES))
    with pytest.raises(InputUnusable, match=r'"in\.jsonl" on claim "data" is packed, .*; correct compression: Gzip'):
        plan(files, "in.jsonl")


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1rest",
        '{"a": 1}\n'.encode("utf-16-le"),
        "\n".join(["\u4e2d\u6587"] * 9).encode("utf-16"),
        bytes(range(256)),
    ],
)
def test_a_file_that_is_not_text_is_refused_with_what_to_do(folder: Path, files: Sources, content: bytes) -> None:
    (folder / "in.jsonl").write_bytes(content)
    with pytest.raises(InputUnusable, match="is not text in UTF-8; correct format or compression"):
        plan(files, "in.jsonl")


@pytest.mark.parametrize(
    ("form", "content", "usable"),
    [
        (RecordFormat.CSV, b'x,n\n"[1,2]",a\0b\n1,c\n', [True, True]),
        (RecordFormat.JSONL, b'{"a": \0}\n{"a": "\xff"}\n' + LINES, [False, False] + [True] * 8),
    ],
)
def test_a_line_with_a_nul_byte_concerns_itself_alone(
    folder: Path, files: Sources, form: RecordFormat, content: bytes, usable: list[bool]
) -> None:
    (folder / "in").write_bytes(content)
    reading = Reading(format=form)
    found = plan(files, "in", reading, size=10)
    shard = shard_at(0, next(found.extents), files=found.files)
    assert usable == [isinstance(one, Record) for one in read_shard(shard, reading, sources=files)]


def test_an_input_of_too_many_shards_is_refused_with_what_to_change(
    folder: Path, files: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MAX_SHARDS", 4)
    (folder / "in.jsonl").write_bytes(LINES)
    assert 4 == plan(files, "in.jsonl", size=2).shards_total
    with pytest.raises(InputUnusable, match=r"more than 4 tasks of 1 records .* raise spec\.batching\.recordsPerTask"):
        plan(files, "in.jsonl", size=1)
