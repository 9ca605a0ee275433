"""Train the digit classifier and lay out what the demonstration puts on its claim.

`python -m millrace_demo.train --out DIR`: DIR/claim is copied to the claim as it is: `models/` is a Triton model
repository, `input/` has the held-out records. DIR/labels.json has the true labels; it stays here, where no part of the
platform can see them.
"""

import argparse
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from millrace_demo import model
from millrace_demo.errors import DemoError
from millrace_demo.layout import INPUT, LABELS_FILE, MODEL_NAME, MODEL_VERSION, RECORDS_PATH
from millrace_demo.scans import Scans, load_scans

LEAST_ACCURACY: Final = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training run came to."""

    training_scans: int
    held_out_scans: int
    accuracy: float


def train(out: Path) -> Trained:
    """Write the model repository, the held-out records and their true labels below `out`, replacing earlier ones."""
    training, held_out = load_scans()
    classifier = model.train_classifier(training)
    share = model.accuracy(classifier, held_out)
    if share < LEAST_ACCURACY:
        raise DemoError(
            f"the trained model reads only {share:.1%} of the held-out scans, {LEAST_ACCURACY:.0%} were expected; "
            "use the versions of uv.lock, and report this if you do"
        )
    exported = model.export_onnx(classifier)
    model.refuse_mismatch(exported, classifier, held_out)
    write_claim(out / "claim", exported, held_out)
    labels = dict(zip(held_out.keys, held_out.labels.tolist(), strict=True))
    (out / LABELS_FILE).write_text(json.dumps(labels, indent=0) + "\n")
    return Trained(training_scans=len(training.keys), held_out_scans=len(held_out.keys), accuracy=share)


def write_claim(claim: Path, exported: ModelProto, held_out: Scans) -> None:
    """Lay out the claim's content anew, readable for the users that the pods run as."""
    shutil.rmtree(claim, ignore_errors=True)
    repository = claim / "models" / MODEL_NAME
    version = repository / MODEL_VERSION
    version.mkdir(parents=True)
    (repository / "config.pbtxt").write_text(model.TRITON_CONFIG)
    (version / "model.onnx").write_bytes(exported.SerializeToString(deterministic=True))
    records = claim / RECORDS_PATH
    records.parent.mkdir(parents=True)
    with records.open("w") as file:
        file.writelines(record_line(key, pixels) for key, pixels in zip(held_out.keys, held_out.pixels, strict=True))


def record_line(key: str, pixels: NDArray[np.float32]) -> str:
    """One scan as a line of the job's input; pixels are whole numbers, so they are written as such."""
    return json.dumps({"key": key, INPUT: pixels.astype(int).tolist()}) + "\n"


def main() -> int:
    """Train, say what came of it, and answer the exit status."""
    parser = argparse.ArgumentParser(prog="python -m millrace_demo.train", description="Train the digit classifier.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    out: Path = parser.parse_args().out
    began = time.monotonic()
    try:
        trained = train(out)
    except (DemoError, OSError) as error:
        sys.stderr.write(f"FAILED: {error}\n")
        return 1
    sys.stdout.write(
        f"learned from {trained.training_scans} scans in {time.monotonic() - began:.1f} s; "
        f"{trained.held_out_scans} are held out, and scikit-learn and ONNX read {trained.accuracy:.1%} of those right\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
