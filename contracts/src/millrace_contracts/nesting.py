"""How deep JSON from outside may be nested.

Python's own reader and writer give up, or worse, at about a thousand levels, and at another depth in each process: what
one passes on may end the next. So everybody refuses the same, at the door.
"""

import re
from typing import Final

MAX_NESTING: Final = 64
"""Levels of lists and objects. A tensor has a handful; a task adds four around a record."""

_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS: Final = bytes(code for code in range(256) if code not in b"[]{}")
_ALIKE: Final = bytes.maketrans(b"{}", b"[]")


def is_too_deep(text: bytes, *, levels: int = MAX_NESTING) -> bool:
    """Say whether JSON text is nested deeper than `levels`, without reading it as JSON.

    Takes a few passes at the speed of memory: the first looks at all brackets, and only where they do not come out
    even, because some stand in strings, a second leaves strings out. Text that is no JSON, with more open brackets than
    `levels`, counts as deep too.
    """
    return may_be_too_deep(text, levels=levels) and may_be_too_deep(_STRINGS.sub(b"", text), levels=levels)


def may_be_too_deep(text: bytes, *, levels: int = MAX_NESTING) -> bool:
    """Say no where neither the text nor a line of it is nested deeper; yes says nothing: strings hold brackets too."""
    return _may_be_deeper(text, levels)


def _may_be_deeper(text: bytes, levels: int) -> bool:
    """Take away the innermost pairs, one level at a time."""
    left = text.translate(_ALIKE, delete=_NOT_BRACKETS)
    for level in range(levels):
        if not left:
            return False
        inner = left.replace(b"[]", b"")
        if len(inner) == len(left):
            return level + left.count(b"[") > levels
        left = inner
    return bool(left)
