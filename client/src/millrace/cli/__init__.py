"""The command line `millrace`, also `kubectl millrace`."""

from millrace.cli.program import main

__all__ = ["main"]
