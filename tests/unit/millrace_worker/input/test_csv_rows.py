"""CSV after RFC 4180: what a cell stands for, and what is said of a row that is no record."""

from collections.abc import Collection
from typing import Any

import pytest

from millrace_contracts.inputs import FileRef
from millrace_worker.errors import InputUnusable
from millrace_worker.input.csv_rows import parse_rows, read_header
from millrace_worker.input.record import Parsed

FILE = FileRef(uri="claim:data/in.csv")


def rows(content: bytes, count: int, delimiter: str = ",", texts: Collection[str] = ()) -> list[Parsed]:
    header = read_header(content, delimiter=delimiter, file=FILE)
    return parse_rows(
        content[header.end :],
        first_line=header.next_line,
        record_count=count,
        header=header,
        delimiter=delimiter,
        texts=texts,
    )


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1", 1),
        ("-2.5e3", -2500.0),
        ("true", True),
        ("null", None),
        ('"[1, 2]"', [1, 2]),
        ('"{""a"": 1}"', {"a": 1}),
        ("text", "text"),
        ("007", "007"),
        ("1.", "1."),
        ("NaN", "NaN"),
        ("12345678901234567890123", 12345678901234567890123),
        ('"""quoted"""', '"quoted"'),
        ('"1,5"', "1,5"),
        ('"a\nb"', "a\nb"),
        ('5" pipe', '5" pipe'),
        ("[" * 100, "[" * 100),
    ],
)
def test_a_cell_that_is_json_stands_for_its_value_and_any_other_for_its_text(cell: str, value: Any) -> None:
    assert [(2, {"a": value, "b": 7}, None)] == rows(f"a,b\n{cell},7\n".encode(), 1)


def test_an_empty_cell_is_a_field_that_is_not_there() -> None:
    assert [(2, {"b": 7}, None), (3, {"a": 1}, None)] == rows(b'a,b\n,7\n1,""\n', 2)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("5", "5"),
        ('"5"', "5"),
        ("007", "007"),
        (" true ", " true "),
        ("null", "null"),
        ("", ""),
        ('""', ""),
        ('"[1, ""a""]"', '[1, "a"]'),
        ('"{""b64"": ""/w==""}"', '{"b64": "/w=="}'),
    ],
)
@pytest.mark.parametrize("number", ["7", '"7"', "é"], ids=["plain", "quoted", "text"])
def test_a_cell_of_a_field_of_text_stands_for_its_text_as_it_is(cell: str, text: str, number: str) -> None:
    value = "é" if number == "é" else 7
    content = f"a,b,c\n{number},{cell},\n{number},{cell},8\n".encode()
    expected = [(2, {"a": value, "b": text}, None), (3, {"a": value, "b": text, "c": 8}, None)]
    assert expected == rows(content, 2, texts={"b", "absent"})
    # One row that is malformed has all of them read one by one.
    assert expected == rows(content + b"1\n", 3, texts={"b", "absent"})[:2]
    assert ["a", "b", "c"] == list(rows(content, 2, texts={"b"})[1][1])


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"1", "the row has 1 cell, and the header names 2 columns"),
        (b"1,2,3", "the row has 3 cells, and the header names 2 columns"),
        (b'"a"b,2', "the row is not CSV: ',' expected after '\"'"),
        (b"a\rb,2", "the row is not CSV: a carriage return stands outside quotes"),
        (b"\xff,2", "the row is not UTF-8: invalid start byte at byte 1"),
    ],
)
def test_a_malformed_row_fails_alone_and_keeps_its_text(row: bytes, problem: str) -> None:
    before, malformed, after = rows(b"a,b\n1,2\n" + row + b"\n3,4\n", 3)
    assert ((2, {"a": 1, "b": 2}, None), (4, {"a": 3, "b": 4}, None)) == (before, after)
    assert (3, row.decode(errors="replace"), ("MalformedRow", problem)) == malformed


def test_a_quote_that_is_never_closed_is_named_with_the_line_of_its_row() -> None:
    _, (line, _, problem) = rows(b'a,b\n1,2\n3,"4\n5,6\n', 2)
    assert (3, "the row is not CSV: a quote is opened and never closed") == (line, problem.message if problem else "")


def test_cells_may_be_separated_by_tabs() -> None:
    assert [(2, {"a": "x,y", "b": 1}, None), (3, {"b": 2}, None)] == rows(b"a\tb\nx,y\t1\n\t2\n", 2, "\t")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,a\n", 'two columns have the name "a"'),
        (b"a,\n", "a column has no name"),
        (b'\n"a"b\n', "line 2, cannot be read: the row is not CSV"),
        (b"\xff\n", "the row is not UTF-8"),
    ],
)
def test_a_header_must_name_each_column_once(content: bytes, problem: str) -> None:
    with pytest.raises(InputUnusable, match=problem):
        read_header(content, delimiter=",", file=FILE)
