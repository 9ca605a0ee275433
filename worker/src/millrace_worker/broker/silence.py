"""Celery's events on a broker that cannot carry them: not sent, whatever the command line says.

A worker sends heartbeats even without `-E`; on SQS each would become a message of a queue that nobody reads.
"""

from functools import cached_property
from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher


class SilentDispatcher(EventDispatcher):  # type: ignore[misc] # celery has no types
    """Sends nothing."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options | {"enabled": False})

    def enable(self) -> None:
        """Stay silent, also when asked by remote control."""


class SilentEvents(Events):  # type: ignore[misc] # celery has no types
    """Named by the app on such a broker."""

    @cached_property
    def Dispatcher(self) -> Any:  # noqa: N802 - Celery's name
        """Answer the dispatcher that sends nothing."""
        return self.app.subclass_with_self(SilentDispatcher, reverse="events.Dispatcher")
