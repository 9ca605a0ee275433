"""What training, the samples and the reading of results agree on. No heavy library here: the report starts at once."""

from typing import Final

SIDE_PIXELS: Final = 8
BRIGHTEST: Final = 16
"""Pixels go from 0 (paper) to this (ink)."""

MODEL_NAME: Final = "digits"
MODEL_VERSION: Final = "1"
INPUT: Final = "pixels"
LABEL: Final = "label"
PROBABILITIES: Final = "probabilities"

RECORDS_PATH: Final = "input/digits.jsonl"
"""Relative to the claim."""
LABELS_FILE: Final = "labels.json"
"""Beside the claim's content, never in it."""
