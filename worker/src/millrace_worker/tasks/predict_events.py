"""Predictions for events of a stream, without a line of code: each event is a record, its place names the answer."""

import hashlib
from collections.abc import Iterator
from typing import Final

from millrace_contracts.predictions import EventPredictions, PredictItem, PredictTask
from millrace_contracts.streams import StreamBatch, StreamRecord, batch_id

ID_LENGTH: Final = 128
MAX_ITEMS: Final = 4096
"""As PredictItem and PredictTask allow."""


def as_predict_tasks(batch: StreamBatch, predict: EventPredictions) -> Iterator[PredictTask]:
    """Make predictions of the events of a batch, in portions that one task may hold. Pure."""
    for start in range(0, len(batch.records), MAX_ITEMS):
        yield PredictTask(
            model=predict.model,
            items=[
                PredictItem(id=event_id(batch, event), record=event.value)
                for event in batch.records[start : start + MAX_ITEMS]
            ],
            parameters=predict.parameters,
            request_timeout_seconds=predict.request_timeout_seconds,
            answer_ttl_seconds=predict.answer_ttl_seconds,
            kafka=predict.kafka,
        )


def event_id(batch: StreamBatch, event: StreamRecord) -> str:
    """Name the answer to an event: topic-partition-offset, or a digest where the topic's name is too long for that."""
    name = batch_id(batch.topic, batch.partition, event.offset, event.offset)
    return name if len(name) <= ID_LENGTH else hashlib.sha256(name.encode()).hexdigest()
