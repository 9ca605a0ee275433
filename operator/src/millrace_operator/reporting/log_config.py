"""Make log lines events with fields, for our own code and for the libraries that use the standard `logging`."""

import logging
import sys
from typing import Any, Final

import structlog

_CHATTY: Final = (
    *("httpx", "httpcore", "urllib3", "kubernetes", "amqp", "kombu", "celery", "aiohttp", "asyncio"),
    # kopf tells of each watch event and of each handler; the loops say what matters.
    *("kopf.objects", "kopf.activities"),
)


def _for_a_terminal() -> structlog.dev.ConsoleRenderer:
    # The pretty traceback would show local variables, and with them credentials.
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def configure_logging(*, level: str, log_format: str) -> None:
    """Send everything to stderr, as one JSON object a line or coloured for a terminal."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    is_json = log_format == "json"
    last: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()] if is_json else [_for_a_terminal()]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
