"""The digit classifier: trained by scikit-learn, carried to Triton as ONNX. No files here; `train` writes them."""

from typing import Any, Final

import numpy as np
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from millrace_demo.errors import ExportMismatchError
from millrace_demo.layout import INPUT, LABEL, MODEL_NAME, PROBABILITIES, SIDE_PIXELS
from millrace_demo.scans import SEED, Scans

PROBABILITY_TOLERANCE: Final = 1e-4
"""ONNX counts in 32-bit floats, scikit-learn in 64-bit ones."""

# The newest operators that the ONNX Runtime inside Triton 24.10 knows for certain.
OPSETS: Final = {"": 18, "ai.onnx.ml": 3}

TRITON_CONFIG: Final = f"""\
name: "{MODEL_NAME}"
backend: "onnxruntime"
max_batch_size: 256
input [ {{ name: "{INPUT}" data_type: TYPE_FP32 dims: [ {SIDE_PIXELS * SIDE_PIXELS} ] }} ]
output [
  # The ONNX file has one label a row without an axis of its own; Triton wants at least one axis.
  {{ name: "{LABEL}" data_type: TYPE_INT64 dims: [ 1 ] reshape {{ shape: [ ] }} }},
  {{ name: "{PROBABILITIES}" data_type: TYPE_FP32 dims: [ 10 ] }}
]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: 500 }}
"""


def train_classifier(scans: Scans) -> Pipeline:
    """Train a small neural network on raw pixels; the scaling is part of the model, so that users send plain scans."""
    classifier = Pipeline(
        [
            ("scale", MinMaxScaler()),
            ("network", MLPClassifier((64,), alpha=1e-2, max_iter=600, random_state=SEED)),
        ]
    )
    return classifier.fit(scans.pixels, scans.labels)


def accuracy(classifier: Pipeline, scans: Scans) -> float:
    """Share of the scans that the classifier reads as they are labelled."""
    return float(np.mean(classifier.predict(scans.pixels) == scans.labels))


def export_onnx(classifier: Pipeline) -> ModelProto:
    """Answer the classifier as ONNX: `pixels` [N, 64] in; `label` int64 [N] and `probabilities` float [N, 10] out."""
    exported: ModelProto = to_onnx(
        classifier,
        initial_types=[(INPUT, FloatTensorType([None, SIDE_PIXELS * SIDE_PIXELS]))],
        # Without zipmap probabilities are a tensor; with it they are a list of maps, which Triton cannot carry.
        options={id(classifier): {"zipmap": False}},
        target_opset=OPSETS,
    )
    return exported


def refuse_mismatch(exported: ModelProto, classifier: Pipeline, scans: Scans) -> None:
    """Raise unless the exported model says the same as the classifier about every scan."""
    labels, probabilities = _evaluate(exported, scans)
    different = int(np.count_nonzero(labels != classifier.predict(scans.pixels)))
    distance = float(np.max(np.abs(probabilities - classifier.predict_proba(scans.pixels))))
    if different or distance > PROBABILITY_TOLERANCE:
        raise ExportMismatchError(
            f"the ONNX file reads {different} of {len(scans.keys)} scans differently from the trained model "
            f"(probabilities differ by up to {distance:.2g}); use the versions of uv.lock, and report this if you do"
        )


def _evaluate(exported: ModelProto, scans: Scans) -> tuple[Any, Any]:
    labels, probabilities = ReferenceEvaluator(exported).run([LABEL, PROBABILITIES], {INPUT: scans.pixels})
    return labels, probabilities
