"""Factorise what users did (alternating least squares of the library `implicit`) and write it as an ONNX model. Pure.

The model knows no users: it makes one of his last items when he is served, so a user who came a second ago has a
recommendation as good as one who was there at the training, and nobody's taste waits for the next one. With the factors
Y of the items (one row each) and his items as a row of weights r:

    u = r Y (Y'Y + lambda I)^-1      the least-squares fold-in of his items
    scores = u Y' + a little popularity, for users of whom nothing is known
    the TOP_N items of the highest scores, without those in r
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from threadpoolctl import threadpool_limits

from millrace_recommender import layout
from millrace_recommender.errors import NotEnoughEvents

OPSET: Final = 18
IR_VERSION: Final = 8
"""What the ONNX Runtime of the oldest supported Triton reads for certain."""
LEAST_ITEMS: Final = layout.TOP_N + layout.HISTORY_LENGTH
"""With fewer there may be nothing left to recommend to a user who has seen many."""
POPULARITY_SHARE: Final = 0.01
HIDDEN: Final = -1e9

Floats = NDArray[np.float32]

TRITON_CONFIG: Final = f"""\
name: "{layout.MODEL}"
backend: "onnxruntime"
max_batch_size: {layout.MAX_BATCH_SIZE}
input [
  {{ name: "{layout.ITEMS}" data_type: TYPE_INT64 dims: [ -1 ] }},
  {{ name: "{layout.WEIGHTS}" data_type: TYPE_FP32 dims: [ -1 ] }}
]
output [
  {{ name: "{layout.ITEM_IDS}" data_type: TYPE_INT64 dims: [ {layout.TOP_N} ] }},
  {{ name: "{layout.SCORES}" data_type: TYPE_FP32 dims: [ {layout.TOP_N} ] }}
]
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: 500 }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """What training may be told; the pipeline's parameters replace single ones."""

    factors: int = 16
    regularisation: float = 10.0
    confidence: float = 2.0
    """How much more a count says than its absence."""
    iterations: int = 12
    seed: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """A trained model."""

    items: Floats
    """Y: a row for each item id, from 0."""
    fold_in: Floats
    """Y (Y'Y + lambda I)^-1: what each item adds to its user."""
    popularity: Floats
    """A little for each item, the most for the most popular."""


def factorise(counts: Any, parameters: Hyperparameters) -> Factors:
    """Train on a sparse matrix of users by items; the same counts give the same factors."""
    if counts.shape[1] < LEAST_ITEMS or counts.nnz == 0:
        raise NotEnoughEvents(
            f"the event log has {counts.shape[1]} items, and {LEAST_ITEMS} are needed to recommend {layout.TOP_N}; "
            "let the stream run for longer"
        )
    # Sums of several threads would come in any order, and floats notice.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=parameters.factors,
            regularization=parameters.regularisation,
            alpha=parameters.confidence,
            iterations=parameters.iterations,
            num_threads=1,
            random_state=parameters.seed,
        )
        model.fit(counts, show_progress=False)
        items = np.asarray(model.item_factors, np.float64)
        gram = items.T @ items + parameters.regularisation * np.eye(parameters.factors)
        fold_in = np.linalg.solve(gram, items.T).T
    wanted = np.asarray(counts.sum(axis=0), np.float64).ravel()
    return Factors(
        items=items.astype(np.float32),
        fold_in=fold_in.astype(np.float32),
        popularity=(POPULARITY_SHARE * wanted / wanted.max()).astype(np.float32),
    )


def top_items(factors: Factors, items: NDArray[np.int64], weights: Floats) -> NDArray[np.int64]:
    """Answer what the ONNX model answers, by numpy: item ids, the best first, one row for each user."""
    count = len(factors.items)
    history = np.zeros((len(items), count + 1), np.float32)
    known = (items >= 0) & (items < count)
    np.add.at(history, (np.arange(len(items))[:, None], np.where(known, items, count)), np.where(known, weights, 0))
    history = history[:, :count]
    scores = history @ factors.fold_in @ factors.items.T + factors.popularity
    scores[history > 0] = HIDDEN
    best: NDArray[np.int64] = np.argsort(-scores, axis=1, kind="stable")[:, : layout.TOP_N]
    return best


def export(factors: Factors) -> onnx.ModelProto:
    """Write the model as ONNX: `items` and `weights` in, `item_ids` and `scores` out, all with a batch axis."""
    count = len(factors.items)
    constants: dict[str, NDArray[Any]] = {
        "zero": np.array(0, np.int64),
        "count": np.array(count, np.int64),
        "no_weight": np.array(0, np.float32),
        "hidden": np.array(HIDDEN, np.float32),
        "first_axis": np.array([0], np.int64),
        "width": np.array([count + 1], np.int64),
        "from_first": np.array([0], np.int64),
        "to_last": np.array([count], np.int64),
        "item_axis": np.array([1], np.int64),
        "top": np.array([layout.TOP_N], np.int64),
        "fold_in": factors.fold_in,
        "item_factors": np.ascontiguousarray(factors.items.T),
        "popularity": factors.popularity,
    }
    batch: Any = "batch"
    graph = helper.make_graph(
        _nodes(),
        layout.MODEL,
        inputs=[
            helper.make_tensor_value_info(layout.ITEMS, TensorProto.INT64, [batch, "length"]),
            helper.make_tensor_value_info(layout.WEIGHTS, TensorProto.FLOAT, [batch, "length"]),
        ],
        outputs=[
            helper.make_tensor_value_info(layout.ITEM_IDS, TensorProto.INT64, [batch, layout.TOP_N]),
            helper.make_tensor_value_info(layout.SCORES, TensorProto.FLOAT, [batch, layout.TOP_N]),
        ],
        initializer=[numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def read_factors(model: onnx.ModelProto) -> Factors:
    """Read the factors back out of an exported model."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return Factors(
        items=np.ascontiguousarray(constants["item_factors"].T),
        fold_in=constants["fold_in"],
        popularity=constants["popularity"],
    )


def _nodes() -> list[Any]:
    node = helper.make_node
    return [
        # Padding and items that came after the training go into a column of their own, which is cut off again.
        node("GreaterOrEqual", [layout.ITEMS, "zero"], ["not_padding"]),
        node("Less", [layout.ITEMS, "count"], ["not_newer"]),
        node("And", ["not_padding", "not_newer"], ["known"]),
        node("Where", ["known", layout.ITEMS, "count"], ["column"]),
        node("Where", ["known", layout.WEIGHTS, "no_weight"], ["amount"]),
        node("Shape", [layout.ITEMS], ["batch_and_length"]),
        node("Gather", ["batch_and_length", "first_axis"], ["batch_size"]),
        node("Concat", ["batch_size", "width"], ["history_shape"], axis=0),
        node("ConstantOfShape", ["history_shape"], ["nothing"]),
        node("ScatterElements", ["nothing", "column", "amount"], ["wide_history"], axis=1, reduction="add"),
        node("Slice", ["wide_history", "from_first", "to_last", "item_axis"], ["history"]),
        node("MatMul", ["history", "fold_in"], ["user"]),
        node("MatMul", ["user", "item_factors"], ["likings"]),
        node("Add", ["likings", "popularity"], ["all_scores"]),
        node("Greater", ["history", "no_weight"], ["seen"]),
        node("Where", ["seen", "hidden", "all_scores"], ["open_scores"]),
        node("TopK", ["open_scores", "top"], [layout.SCORES, layout.ITEM_IDS], axis=1, largest=1, sorted=1),
    ]
