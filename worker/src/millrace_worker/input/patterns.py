"""Which files of a folder or prefix a job takes."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from millrace_worker.errors import InputUnusable

_HIDDEN: Final = (".", "_")


def selection(includes: Sequence[str], excludes: Sequence[str]) -> Callable[[str], bool]:
    """Answer what says of a relative path whether it is taken.

    `*` and `?` stay within one folder, `**` crosses folders. A pattern without a slash is about the file's name, in
    whichever folder it stands. Without includes all files are taken but those with a "." or "_" before the name of
    the file or of one of its folders: so writers name what is not ready, or not data.
    """
    taken = [_compiled(pattern) for pattern in includes]
    refused = [_compiled(pattern) for pattern in excludes]

    def is_taken(path: str) -> bool:
        if any(pattern.fullmatch(path) for pattern in refused):
            return False
        if taken:
            return any(pattern.fullmatch(path) for pattern in taken)
        return not any(part.startswith(_HIDDEN) for part in path.split("/"))

    return is_taken


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    whole = pattern if "/" in pattern else f"**/{pattern}"
    try:
        return re.compile(_regular(whole.removeprefix("/")), re.DOTALL)
    except re.error as error:
        raise InputUnusable(
            f'the pattern "{pattern}" cannot be understood: {error}; correct includes or excludes'
        ) from error


def _regular(pattern: str) -> str:
    """Write a shell pattern as a regular expression."""
    written, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            written, i = f"{written}(?:[^/]+/)*", i + 3
        elif pattern.startswith("**", i):
            written, i = f"{written}.*", i + 2
        elif pattern[i] == "*":
            written, i = f"{written}[^/]*", i + 1
        elif pattern[i] == "?":
            written, i = f"{written}[^/]", i + 1
        elif pattern[i] == "[" and (end := pattern.find("]", i + 2)) > 0:
            inner = pattern[i + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            inner = f"^/{inner[1:]}" if inner.startswith("!") else inner.replace("^", "\\^")
            written, i = f"{written}[{inner}]", end + 1
        else:
            written, i = written + re.escape(pattern[i]), i + 1
    return written
