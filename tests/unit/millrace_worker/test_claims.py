"""Paths stay inside their claim, and files are whole."""

import errno
from pathlib import Path

import pytest

from millrace_worker.errors import InputMissing, InputUnusable, OutputUnwritable, StorageUnavailable
from millrace_worker.storage.claims import Claims, input_error, output_error, remove_leftovers, write_whole


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    (tmp_path / "digits" / "in").mkdir(parents=True)
    (tmp_path / "digits" / "in" / "a.jsonl").write_text("{}\n")
    (tmp_path / "secret.jsonl").write_text("{}\n")
    (tmp_path / "digits" / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    return Claims(tmp_path)


def test_a_file_on_a_claim_is_found(claims: Claims, tmp_path: Path) -> None:
    assert claims.input_file("digits", "in/a.jsonl") == tmp_path / "digits" / "in" / "a.jsonl"


@pytest.mark.parametrize("path", ["../secret.jsonl", "in/../../secret.jsonl", "/etc/passwd", "link.jsonl"])
def test_an_input_path_never_leaves_its_claim(claims: Claims, path: str) -> None:
    with pytest.raises(InputUnusable, match="leads out of claim"):
        claims.input_file("digits", path)


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "in/../../out"])
def test_an_output_path_never_leaves_its_claim(claims: Claims, path: str) -> None:
    with pytest.raises(OutputUnwritable, match="leads out of claim"):
        claims.output_folder("digits", path)


@pytest.mark.parametrize("claim", ["..", ".", "", "digits/in"])
def test_a_claim_is_a_name_and_no_path(claims: Claims, claim: str) -> None:
    with pytest.raises(InputMissing, match="is not mounted"):
        claims.input_file(claim, "a.jsonl")


def test_a_claim_that_is_not_mounted_is_named_with_what_to_do(claims: Claims) -> None:
    with pytest.raises(InputMissing) as caught:
        claims.input_file("letters", "a.jsonl")
    assert 'claim "letters" is not mounted' in str(caught.value)
    assert "add it to dataClaims" in str(caught.value)


def test_a_file_that_is_not_there_is_named(claims: Claims) -> None:
    with pytest.raises(InputMissing, match=r'no file "in/b\.jsonl" on claim "digits"'):
        claims.input_file("digits", "in/b.jsonl")


def test_a_folder_is_no_input(claims: Claims) -> None:
    with pytest.raises(InputUnusable, match="is not a file"):
        claims.input_file("digits", "in")


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "out" / "part.jsonl"
    write_whole(file, ["old"])
    write_whole(file, ["new", "lines"])
    assert file.read_text() == "new\nlines\n"
    assert [entry.name for entry in file.parent.iterdir()] == ["part.jsonl"]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "part.jsonl"
    write_whole(file, ["old"])

    def lines() -> object:
        yield "half"
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_whole(file, lines())  # type: ignore[arg-type] # it fails half-way
    assert file.read_text() == "old\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["part.jsonl"]


def test_what_killed_writers_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".part-00000.jsonl.abc.tmp").touch()
    (tmp_path / "part-00000.jsonl").touch()
    remove_leftovers(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["part-00000.jsonl"]


def test_a_full_volume_is_said_with_what_to_do() -> None:
    error = output_error(OSError(errno.ENOSPC, "No space left on device"), where='"out" on claim "digits"')
    assert isinstance(error, OutputUnwritable)
    assert "free space or enlarge the volume" in str(error)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_network_volume_without_its_server_costs_only_time(number: int) -> None:
    assert isinstance(output_error(OSError(number, "x"), where="out"), StorageUnavailable)
    assert isinstance(input_error(OSError(number, "x"), claim="c", path="p"), StorageUnavailable)
