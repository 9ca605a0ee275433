"""Draw scans with characters, so that a person sees what the model saw."""

from collections.abc import Sequence
from typing import Final

from millrace_demo.layout import BRIGHTEST, SIDE_PIXELS

BLOCKS: Final = " ░▒▓█"
ASCII: Final = " .:*#"
COLUMNS_A_PIXEL: Final = 2
"""Characters are about twice as high as wide."""

WIDTH: Final = SIDE_PIXELS * COLUMNS_A_PIXEL


def draw_scan(pixels: Sequence[int], shades: str = BLOCKS) -> list[str]:
    """Answer the scan as lines of equal width; any ink at all is more than blank."""
    rows = (pixels[start : start + SIDE_PIXELS] for start in range(0, len(pixels), SIDE_PIXELS))
    return ["".join(_shade(pixel, shades) * COLUMNS_A_PIXEL for pixel in row) for row in rows]


def _shade(pixel: int, shades: str) -> str:
    # Rounded up: thin strokes stay visible.
    return shades[-(-pixel * (len(shades) - 1) // BRIGHTEST)]


def beside(drawings: Sequence[Sequence[str]], gap: str = "   ") -> list[str]:
    """Put drawings of equal height side by side."""
    return [gap.join(lines).rstrip() for lines in zip(*drawings, strict=True)]
