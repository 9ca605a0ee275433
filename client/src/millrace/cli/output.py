"""What a command prints: a table for people; JSON, YAML and names for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = dict[str, Any]
Cell = Callable[[Mapping[str, Any]], object]


WIDTH_OF_A_PIPE: Final = 100_000


class Format(StrEnum):
    """The form of what is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a kind of thing looks."""

    kind: str
    """For `--output name`: kind/name."""
    columns: Mapping[str, Cell]
    name: Cell = field(default=lambda item: item["name"])
    nothing: str = "nothing found"


@dataclass(frozen=True, slots=True)
class Printer:
    """Writes to standard output in one form; what is only for people goes to standard error."""

    form: Format
    out: Console = field(default_factory=lambda: _console(is_error=False))
    err: Console = field(default_factory=lambda: _console(is_error=True))

    @property
    def is_for_people(self) -> bool:
        """Say whether a person reads the output."""
        return self.form is Format.TABLE

    def many(self, items: Sequence[Json], view: View) -> None:
        """Print a list."""
        if self.form is Format.NAME:
            self._names(items, view)
        elif self.form is Format.TABLE:
            if items:
                self._table(items, view)
            else:
                self.say(view.nothing)
        else:
            self._data({"items": list(items)})

    def one(self, item: Json, view: View, *, details: Callable[[Json], Iterable[tuple[str, object]]]) -> None:
        """Print one thing with its details."""
        if self.form is Format.NAME:
            self._names([item], view)
        elif self.form is Format.TABLE:
            self.pairs(details(item))
        else:
            self._data(item)

    def done(self, item: Json, view: View, sentence: str) -> None:
        """Print what was done."""
        self.one(item, view, details=lambda _: ())
        if self.is_for_people:
            self.out.print(Text(sentence), soft_wrap=True)

    def pairs(self, pairs: Iterable[tuple[str, object]]) -> None:
        """Print names and values for people."""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in pairs:
            table.add_row(name, Text(_shown(value)))
        if table.row_count:
            self.out.print(table)

    def heading(self, words: str) -> None:
        """Begin another part of what people read."""
        self.out.print()
        self.out.print(Text(words, style="bold"))

    def record(self, item: Any) -> None:
        """Print one of many records as a line of JSON, while they come."""
        sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")

    def say(self, sentence: str) -> None:
        """Tell a person something that is no output."""
        self.err.print(Text(sentence), soft_wrap=True)

    def table(self, items: Sequence[Mapping[str, Any]], columns: Mapping[str, Cell]) -> None:
        """Print a table that is part of something larger."""
        self._table(items, View(kind="", columns=columns))

    def _table(self, items: Sequence[Mapping[str, Any]], view: View) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
        *first, last = view.columns
        for title in first:
            table.add_column(title, no_wrap=True)
        table.add_column(last, overflow="fold")
        for item in items:
            table.add_row(*(Text(_shown(cell(item))) for cell in view.columns.values()))
        self.out.print(table)

    def _names(self, items: Iterable[Json], view: View) -> None:
        for item in items:
            sys.stdout.write(f"{view.kind}/{view.name(item)}\n")

    def _data(self, value: Any) -> None:
        if self.form is Format.YAML:
            yaml.safe_dump(value, sys.stdout, sort_keys=False, allow_unicode=True)
        else:
            json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
            sys.stdout.write("\n")


def _console(*, is_error: bool) -> Console:
    """Write to a terminal as wide as it is; a pipe has no width, so nothing is cut or folded there."""
    console = Console(stderr=is_error, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_PIPE
    return console


def _shown(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
