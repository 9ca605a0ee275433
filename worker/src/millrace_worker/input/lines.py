"""Where records begin and end in a file of lines: found in large pieces, without looking at each line by itself.

Blank lines are no records, but they count as lines, so that a line number is the one that an editor shows. What a
record is, index and readers learn here, so that they never differ.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
BLANK: Final = b" \t\r\n\x0b\x0c"
"""What bytes.strip() takes away."""

_NEWLINE: Final = 10
_QUOTE: Final = 34


class Spans(NamedTuple):
    """Records: where each begins and ends (its line end belongs to it), and the line on which it begins."""

    starts: Positions
    ends: Positions
    lines: Positions


class Scanner:
    """Passes over a file from an offset that is the beginning of a line; every record comes out once, in order."""

    def __init__(self, *, offset: int = 0, line: int = 1, blank: bytes = BLANK) -> None:
        self._offset = offset
        self._start = offset
        self._line = line
        """Of the record that has begun."""
        self._newlines = line
        """The line on which the next byte stands."""
        self._is_blank = True
        self._solid = np.ones(256, dtype=np.bool_)
        self._solid[list(blank)] = False

    def feed(self, piece: bytes) -> Spans:
        """Answer the records that end in the next piece of the file."""
        data = np.frombuffer(piece, dtype=np.uint8)
        newlines = np.flatnonzero(data == _NEWLINE)
        ends_record = self._ends_record(data, newlines)
        last = newlines if ends_record is None else newlines[ends_record]
        # The line that follows each newline, for those that end a record.
        following = np.arange(self._newlines + 1, self._newlines + 1 + len(newlines))
        following = following if ends_record is None else following[ends_record]
        spans = self._cut(data, last, following)
        self._offset += len(piece)
        self._newlines += len(newlines)
        return spans

    def finish(self) -> Spans:
        """Answer the last record, where the file does not end with a line end."""
        if self._is_blank or self._start == self._offset:
            return _EMPTY
        return Spans(*(np.array([value]) for value in (self._start, self._offset, self._line)))

    @property
    def record_start(self) -> int:
        """Where the record begins that has not ended yet."""
        return self._start

    @property
    def record_line(self) -> int:
        """The line on which it begins."""
        return self._line

    def _ends_record(self, data: npt.NDArray[np.uint8], newlines: Positions) -> Flags | None:  # noqa: ARG002 - other formats look
        """Say which newlines end a record; None is all."""
        return None

    def _cut(self, data: npt.NDArray[np.uint8], last: Positions, following: Positions) -> Spans:
        if len(last) == 0:
            self._is_blank = self._is_blank and not self._solid[data].any()
            return _EMPTY
        begins = np.concatenate(([0], last[:-1] + 1))
        solid = self._solid[data[begins]]
        if not solid.all():
            # Blanks stand first in some lines: now every byte counts.
            solid = np.logical_or.reduceat(self._solid[data[: last[-1] + 1]], begins)
        solid[0] = solid[0] or not self._is_blank
        starts = begins + self._offset
        starts[0] = self._start
        lines = np.concatenate(([self._line], following[:-1]))
        rest = data[last[-1] + 1 :]
        self._start = self._offset + int(last[-1]) + 1
        self._line = int(following[-1])
        self._is_blank = not self._solid[rest].any()
        if solid.all():
            return Spans(starts, last + (self._offset + 1), lines)
        return Spans(starts[solid], last[solid] + (self._offset + 1), lines[solid])


class QuotedScanner(Scanner):
    """Passes over CSV: a line end within quotes ends no record (RFC 4180).

    A quote opens a field only where the field begins; anywhere else it is a mistake that concerns its own row alone.
    """

    def __init__(self, *, delimiter: str, offset: int = 0, line: int = 1) -> None:
        super().__init__(offset=offset, line=line, blank=bytes(set(BLANK) - set(delimiter.encode())))
        self._delimiter = delimiter.encode()[-1]
        self._is_quoted = False
        self._before = _NEWLINE
        """The byte before the next piece."""
        self._has_just_closed = False

    def _ends_record(self, data: npt.NDArray[np.uint8], newlines: Positions) -> Flags | None:
        quotes = np.flatnonzero(data == _QUOTE)
        if len(quotes):
            flips = quotes if self._all_are_proper(data, quotes) else self._proper(data, quotes)
        else:
            flips = quotes
        was_quoted = self._is_quoted
        if len(data):
            self._is_quoted = was_quoted ^ bool(len(flips) & 1)
            is_last = bool(len(flips)) and int(flips[-1]) == len(data) - 1
            self._has_just_closed = is_last and not self._is_quoted
            self._before = int(data[-1])
        if len(flips) == 0:
            return np.zeros(len(newlines), dtype=np.bool_) if was_quoted else None
        is_outside: Flags = (np.searchsorted(flips, newlines) + was_quoted) % 2 == 0
        return is_outside

    def _all_are_proper(self, data: npt.NDArray[np.uint8], quotes: Positions) -> bool:
        """Say whether each quote that opens does so at the beginning of a field, or doubles the one before."""
        opening = quotes[1 if self._is_quoted else 0 :: 2]
        if len(opening) == 0:
            return True
        if opening[0] == 0 and not self._may_open(self._before, just_closed=self._has_just_closed):
            return False
        before = data[opening[opening > 0] - 1]
        return bool(((before == self._delimiter) | (before == _NEWLINE) | (before == _QUOTE)).all())

    def _proper(self, data: npt.NDArray[np.uint8], quotes: Positions) -> Positions:
        """Choose the quotes that open or close, one by one."""
        flips, is_quoted = [], self._is_quoted
        closed_at = -1 if self._has_just_closed else -2
        for at in quotes.tolist():
            before = int(data[at - 1]) if at else self._before
            if is_quoted:
                is_quoted, closed_at = False, at
            elif self._may_open(before, just_closed=closed_at == at - 1):
                is_quoted = True
            else:
                continue
            flips.append(at)
        return np.array(flips, dtype=np.int64)

    def _may_open(self, before: int, *, just_closed: bool) -> bool:
        return before in {self._delimiter, _NEWLINE} or (before == _QUOTE and just_closed)


_EMPTY: Final = Spans(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
