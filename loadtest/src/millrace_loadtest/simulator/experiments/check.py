"""A figure against its threshold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the table."""

    what: str
    measured: str
    threshold: str
    is_met: bool | None
    """None: nothing to compare with; it says why in `measured`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What an experiment came to."""

    checks: tuple[Check, ...]
    figures: Mapping[str, Any] = field(default_factory=dict)
    """For the report."""
    table: str = ""
    """For the terminal, above the checks."""


def at_least(what: str, measured: float, threshold: float, *, form: str = ".2f", of: str = "") -> Check:
    """Demand no less than a threshold."""
    return Check(
        what=what,
        measured=format(measured, form),
        threshold=f">= {threshold:{form}}{of}",
        is_met=measured >= threshold,
    )


def at_most(what: str, measured: float, threshold: float, *, form: str = ".2f", of: str = "") -> Check:
    """Demand no more than a threshold."""
    return Check(
        what=what,
        measured=format(measured, form),
        threshold=f"<= {threshold:{form}}{of}",
        is_met=measured <= threshold,
    )
