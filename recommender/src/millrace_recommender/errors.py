"""What can go wrong in the recommender's own code.

RecommenderError
├── EventInvalid     an event cannot be read; it is counted and passed over
├── NotEnoughEvents  there is nothing to train or to measure on: the run fails, and the model that serves goes on
└── ActivityFailed   the generator cannot write to Kafka
"""


class RecommenderError(Exception):
    """Base of all errors that the recommender raises itself."""


class EventInvalid(RecommenderError):  # noqa: N818 - it says what happened
    """An event lacks a field, or has one that means nothing."""


class NotEnoughEvents(RecommenderError):  # noqa: N818 - it says what happened
    """The event log is too short."""


class ActivityFailed(RecommenderError):  # noqa: N818 - it says what happened
    """Kafka did not take an event."""
