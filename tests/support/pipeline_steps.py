"""Steps of a pipeline as a team writes them: what they do is told by the run's parameters.

The model answers its input times `factor`, and is the better the larger that is.
"""

import json
import os
import threading
from pathlib import Path

from millrace_worker.pipeline.step_context import StepContext

CONFIG = """
backend: "python"
max_batch_size: 0
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""

MODEL = """
import threading
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        threading.Event().wait({load_seconds})
        if {is_broken}:
            raise RuntimeError("these weights are not for this network")

    def execute(self, requests):
        inputs = [pb.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb.InferenceResponse([pb.Tensor("y", (x * {factor}).astype(np.float32))]) for x in inputs]
"""


def shards(context: StepContext) -> list[str]:
    """Name the shards."""
    return [f"shard-{number}" for number in range(int(context.parameters.get("shards", 3)))]


def preprocess(shard: str, context: StepContext) -> None:
    """Count the letters of the shard's name."""
    (context.output / "features.json").write_text(json.dumps(len(shard)))


def interrupt(shard: str, context: StepContext) -> None:
    """Do what no step should."""
    del shard, context
    raise KeyboardInterrupt("enough")


def train(context: StepContext) -> None:
    """Write the model that the parameters ask for."""
    note(context, "train")
    assert all((folder / "features.json").exists() for folder in context.inputs.values())
    parameters = context.parameters
    if "raises" in parameters:
        raise ValueError(parameters["raises"])
    threading.Event().wait(float(parameters.get("train_seconds", 0)))
    model = context.output / "model"
    model.mkdir()
    factor = float(parameters["factor"])
    text = MODEL.format(
        factor=factor, load_seconds=parameters.get("load_seconds", 0), is_broken=bool(parameters.get("broken"))
    )
    (model / "model.py").write_text(text)
    (model / "quality.json").write_text(json.dumps({"quality": factor, "shards": len(context.inputs)}))
    (context.output / "config.pbtxt").write_text(CONFIG)


def evaluate(context: StepContext) -> dict[str, float]:
    """Read how good the model is."""
    assert context.model_folder is not None
    return dict(json.loads((context.model_folder / "quality.json").read_text()))


def note(context: StepContext, step: str) -> None:
    """Leave a line for each call, where tests find it."""
    with (Path(context.parameters["notes"]) / f"{context.run_id}.txt").open("a", encoding="utf-8") as notes:
        notes.write(f"{step} {os.getpid()}\n")
