"""Find the functions that a team named by their dotted paths."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from millrace_contracts.pipelines import PipelineSpec
from millrace_worker.pipeline.errors import StepFailed


def find(path: str) -> Callable[..., Any]:
    """Import a function, or say what is missing."""
    module_name, _, name = path.replace(":", ".").rpartition(".")
    try:
        function = getattr(import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise StepFailed(
            f'function "{path}" cannot be imported: {error}; build the package into the image of the pool\'s workers'
        ) from error
    except AttributeError as error:
        raise StepFailed(f'module "{module_name}" has no function "{name}"; correct the path "{path}"') from error
    except Exception as error:
        raise StepFailed(f'importing "{path}" failed with {type(error).__name__}: {error}') from error
    if not callable(function):
        raise StepFailed(f'"{path}" is not a function')
    return function  # type: ignore[no-any-return] # callable, as just seen


def check_all(spec: PipelineSpec) -> None:
    """Import every function of the pipeline: a wrong name must not show after hours of training."""
    for path in (spec.preprocess.shards, spec.preprocess.function, spec.train.function, spec.evaluate.function):
        if path is not None:
            find(path)
