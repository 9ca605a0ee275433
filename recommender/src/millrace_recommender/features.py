"""From a shard's event log to what training and evaluation need: fading counts, and events held out. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from millrace_recommender.events import Event, history_of
from millrace_recommender.layout import HISTORY_LENGTH, NO_ITEM

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Users of one shard, as arrays with a row each.

    The last events of each user are held out: they are in `held_out` and in nothing else, so a model that was trained
    on `counts` has never seen them.
    """

    users: NDArray[np.str_]
    count_rows: Ints
    count_items: Ints
    counts: Floats
    """How much a user wanted an item (`count_rows`, `count_items`), newer events weighing more."""
    history_items: Ints
    history_weights: Floats
    """Inputs of the model, as they were before the held-out events."""
    held_out: Ints
    """Items of the held-out events that were new to the user; -1 where there are fewer."""

    def write(self, file: Path) -> None:
        """Write one .npz file."""
        np.savez_compressed(file, **asdict(self))

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` wrote."""
        with np.load(file) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


def make_features(events: Sequence[Event], *, half_life_seconds: float, held_out_per_user: int) -> Features:
    """Make the features of a shard; an event counts half when it is `half_life_seconds` older than the newest."""
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.at):
        by_user[event.user].append(event)
    newest = max((event.at for event in events), default=0.0)
    users = sorted(by_user)
    rows: list[int] = []
    items: list[int] = []
    counts: list[float] = []
    history_items = np.full((len(users), HISTORY_LENGTH), NO_ITEM, np.int64)
    history_weights = np.zeros((len(users), HISTORY_LENGTH), np.float32)
    held_out = np.full((len(users), held_out_per_user), NO_ITEM, np.int64)
    for row, user in enumerate(users):
        cut = max(len(by_user[user]) - held_out_per_user, 0)
        learned, later = by_user[user][:cut], by_user[user][cut:]
        rows += [row] * len(learned)
        items += [event.item for event in learned]
        counts += [event.weight * 0.5 ** ((newest - event.at) / half_life_seconds) for event in learned]
        history = history_of([(event.item, event.weight, event.at) for event in reversed(learned)])
        history_items[row, : len(history.items)] = history.items
        history_weights[row, : len(history.weights)] = history.weights
        new = _new_items(later, set(history.items)) if history.items else []
        held_out[row, : len(new)] = new
    return Features(
        users=np.array(users, np.str_),
        count_rows=np.array(rows, np.int64),
        count_items=np.array(items, np.int64),
        counts=np.array(counts, np.float32),
        history_items=history_items,
        history_weights=history_weights,
        held_out=held_out,
    )


def count_matrix(features: Sequence[Features]) -> Any:
    """Answer the counts of all shards as one sparse matrix of users by items."""
    item_count = 1 + max((int(shard.count_items.max()) for shard in features if len(shard.count_items)), default=0)
    matrices = [
        csr_matrix(
            (shard.counts, (shard.count_rows, shard.count_items)),
            shape=(len(shard.users), item_count),
            dtype=np.float32,
        )
        for shard in features
    ]
    return vstack(matrices, format="csr")


def _new_items(events: Sequence[Event], seen: set[int]) -> list[int]:
    new: list[int] = []
    for event in events:
        if event.item not in seen and event.item not in new:
            new.append(event.item)
    return new
