"""The command line `millrace`, also `kubectl millrace`."""

from millrace.cli.main import main

__all__ = ["main"]
