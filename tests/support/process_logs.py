"""Read the log of a process while it writes."""

from pathlib import Path


def whole_lines(file: Path) -> str:
    """Answer the lines that are complete so far; nothing where there is no file yet."""
    content = file.read_bytes() if file.exists() else b""
    return content[: content.rfind(b"\n") + 1].decode(errors="replace")
