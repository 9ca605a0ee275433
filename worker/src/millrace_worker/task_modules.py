"""Tasks of a team: modules in its own image, named by MILLRACE_TASK_MODULES.

A module is imported, which is enough for tasks made with `celery.shared_task`. If it has a function
`register(app, context)`, that is called with the Celery app and the worker's Context: Redis, Triton and the broker.
"""

from importlib import import_module
from typing import Any

from millrace_worker.context import Context
from millrace_worker.errors import SettingsInvalid


def register_task_modules(app: Any, context: Context) -> None:
    """Import each module and let it register its tasks, or raise SettingsInvalid."""
    names = [name.strip() for name in context.settings.task_modules.split(",")]
    for name in filter(None, names):
        try:
            module = import_module(name)
        except ImportError as error:
            raise SettingsInvalid(
                f"MILLRACE_TASK_MODULES names {name}, which cannot be imported: {error}; is it in this image?"
            ) from error
        register = getattr(module, "register", None)
        if callable(register):
            register(app, context)
