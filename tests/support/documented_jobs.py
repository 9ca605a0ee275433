"""The PredictionJobs of docs/predictionjob.md, as readers would copy them."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

PAGE: Final = Path(__file__).parents[2] / "docs" / "predictionjob.md"
_BLOCK: Final = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def documented_jobs() -> dict[str, dict[str, Any]]:
    """Answer each example by its name, which no two may share."""
    jobs = [yaml.safe_load(block) for block in _BLOCK.findall(PAGE.read_text(encoding="utf-8"))]
    by_name = {job["metadata"]["name"]: job for job in jobs}
    assert len(jobs) == len(by_name), "two examples have one name"
    return by_name


def documented_function(name: str) -> Callable[..., Any]:
    """Answer a Python function of the page, as readers would copy it."""
    known: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(block, known)
    function: Callable[..., Any] = known[name]
    return function
