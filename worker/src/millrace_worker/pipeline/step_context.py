"""What a team's step functions are given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """One call of one function; all folders are local paths, wherever the artefacts are kept.

    preprocess and train write into `output`. train writes the files of Triton's version folder into `output / "model"`
    and, at least the first time, the model's configuration into `output / "config.pbtxt"`.
    """

    pipeline: str
    model: str
    run_id: str
    step: str
    started_at: float
    """Of the run, in seconds since the epoch: the same for each step, and when a step is done again."""
    parameters: Mapping[str, Any]
    output: Path
    """Empty at first, and of this attempt alone."""
    inputs: Mapping[str, Path] = field(default_factory=dict)
    """Key of the shard -> the folder that its preprocess wrote; for train and evaluate."""
    model_folder: Path | None = None
    """For evaluate: the version folder to measure."""
    is_candidate: bool = False
    """For evaluate: True for the new version, False for the one that serves."""
    redis: Any = None
    """A client of Millrace's own Redis, with str answers, for functions that keep their features there."""
    log: Any = None
    """A logger for events with fields: `context.log.info("trained", epochs=3)`."""
