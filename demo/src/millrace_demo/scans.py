"""The scans: scikit-learn's bundled handwritten digits, cut once into those to learn from and those held out."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED: Final = 7
HELD_OUT_SHARE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Scans:
    """Scans side by side: position i of each field belongs to the same scan."""

    keys: tuple[str, ...]
    pixels: NDArray[np.float32]
    """One row of 64 pixels a scan."""
    labels: NDArray[np.int64]


def load_scans() -> tuple[Scans, Scans]:
    """Answer (training scans, held-out scans), the same on every machine, each digit in its share of both."""
    bundle = load_digits()
    numbers = np.arange(len(bundle.target))
    training, held_out = train_test_split(numbers, test_size=HELD_OUT_SHARE, stratify=bundle.target, random_state=SEED)
    return (
        _pick(bundle.data, bundle.target, np.sort(training)),
        _pick(bundle.data, bundle.target, np.sort(held_out)),
    )


def _pick(pixels: NDArray[np.float64], labels: NDArray[np.int64], numbers: NDArray[np.int64]) -> Scans:
    return Scans(
        keys=tuple(f"scan-{number:04d}" for number in numbers),
        pixels=pixels[numbers].astype(np.float32),
        labels=labels[numbers].astype(np.int64),
    )
