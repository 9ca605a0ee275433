"""Ask before something that cannot be undone."""

import sys

import typer

from millrace.cli.errors import UsageInvalid


def confirm(question: str, *, is_sure: bool) -> None:
    """Go on when the user has said so, by --yes or by answering; else raise UsageInvalid."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise UsageInvalid("nobody can be asked here; add --yes to go on")
    if not typer.confirm(question, err=True):
        raise UsageInvalid("nothing was done")
