"""Names that tasks, training, the generator and the scoreboard agree on: the model, its tensors, and keys in Redis."""

from typing import Final

MODEL: Final = "recommender"
POPULARITY: Final = "popularity"
"""Stands for a model version where no model is served yet and everybody gets what is popular."""

ITEMS: Final = "items"
"""Input: the last items of a user, the newest first, padded with -1."""
WEIGHTS: Final = "weights"
"""Input: how much each of them counts."""
ITEM_IDS: Final = "item_ids"
SCORES: Final = "scores"
NO_ITEM: Final = -1
TOP_N: Final = 10
MAX_BATCH_SIZE: Final = 256

HISTORY_LENGTH: Final = 24
"""Events of a user that his recommendations are made from."""
SHARDS: Final = 4
LOG_LENGTH: Final = 25_000
"""Events of a shard that are kept for training, more or less; Redis forgets the oldest."""
RECOMMENDATION_SECONDS: Final = 86_400
ACTIVE_SECONDS: Final = 86_400
"""Who did nothing for so long is not scored any more."""
POPULARITY_WINDOW_SECONDS: Final = 3_600
SCORES_SECONDS: Final = 86_400
SLOT_SECONDS: Final = 20
"""Hits are counted by so many seconds."""
LATENCIES_KEPT: Final = 5_000

ACTIVE_USERS: Final = "recommender:active"
"""Sorted set: user, by the time of his last event."""
LATENCIES: Final = "recommender:latencies"
"""List: seconds from an event to its user's fresh recommendations, the newest first."""
EVENTS: Final = "recommender:events"
"""String: events that were taken in."""
REFUSED: Final = "recommender:refused"
"""String: events that could not be read."""


def recommendations_key(user: str) -> str:
    """Redis string: the user's Recommendations as JSON."""
    return f"recommendations:{user}"


def history_key(user: str) -> str:
    """Redis list: the user's last events, the newest first."""
    return f"recommender:history:{user}"


def log_key(shard: str) -> str:
    """Redis stream: events for training of the users of one shard."""
    return f"recommender:log:{shard}"


def popular_key(at: float) -> str:
    """Redis sorted set: items by how much they were wanted in the window that holds this time."""
    return f"recommender:popular:{int(at // POPULARITY_WINDOW_SECONDS)}"


def slot_of(at: float) -> int:
    """Number the slot that holds this time."""
    return int(at // SLOT_SECONDS)


def scores_key(slot: int) -> str:
    """Redis hash of one slot: `<version>:events` and `<version>:hits`."""
    return f"recommender:scores:{slot}"
