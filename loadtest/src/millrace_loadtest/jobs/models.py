"""The models that jobs are measured with: one that computes on these cores, and one that lets others compute."""

from pathlib import Path
from typing import Final

WIDTH: Final = 8
MAX_BATCH: Final = 128
BUSY: Final = "busy"
"""A perceptron on one core of this machine."""
WAITING: Final = "waiting"
"""As busy as a model on another machine or on an accelerator is here: it answers later, and costs next to nothing."""
INSTANCES_OF_WAITING: Final = 8
"""More than two workers send at a time, so that Triton is not what bounds them."""

_CONFIG: Final = """
name: "{name}"
backend: "python"
max_batch_size: {max_batch}
input [ {{ name: "x" data_type: TYPE_FP32 dims: [ {width} ] }} ]
output [ {{ name: "score" data_type: TYPE_FP32 dims: [ 1 ] }} ]
instance_group [ {{ count: {instances} kind: KIND_CPU }} ]
parameters [ {{ key: "seconds" value: {{ string_value: "{seconds}" }} }} ]
"""
_MODEL: Final = '''
"""A perceptron with fixed weights, which answers a request after some seconds."""

import json
import threading

import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.seconds = float(config["parameters"]["seconds"]["string_value"])
        width = config["input"][0]["dims"][0]
        width = int(width)
        rng = np.random.default_rng(7)
        self.w1 = (rng.standard_normal((width, 64)) * 0.2).astype(np.float32)
        self.w2 = (rng.standard_normal((64, 1)) * 0.2).astype(np.float32)
        self.pause = threading.Event()

    def execute(self, requests):
        return [self.answer(pb.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]

    def answer(self, x):
        if self.seconds:
            self.pause.wait(self.seconds)
        y = 1.0 / (1.0 + np.exp(-(np.maximum(x @ self.w1, 0) @ self.w2)))
        return pb.InferenceResponse([pb.Tensor("score", np.ascontiguousarray(y, dtype=np.float32))])
'''


def write_models(folder: Path, *, waiting_seconds: float = 0.1, width: int = WIDTH) -> Path:
    """Lay out a model repository with both."""
    for name, instances, seconds in ((BUSY, 1, 0.0), (WAITING, INSTANCES_OF_WAITING, waiting_seconds)):
        version = folder / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.py").write_text(_MODEL)
        config = _CONFIG.format(name=name, max_batch=MAX_BATCH, width=width, instances=instances, seconds=seconds)
        (folder / name / "config.pbtxt").write_text(config)
    return folder
