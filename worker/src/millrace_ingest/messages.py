"""From a batch to the message of its task. Pure.

Records are JSON already, so the message is put together from bytes: to encode a batch once more would double the work.
"""

import json

from millrace_contracts.streams import batch_id
from millrace_contracts.wire import Message, encoded_task_message
from millrace_ingest.batching import Batch
from millrace_ingest.settings import Stream


class TaskMessages:
    """Makes the messages of one stream."""

    def __init__(self, stream: Stream, *, origin: str) -> None:
        self.topic_id = ""
        self._task = stream.task
        self._origin = origin
        self._stream = json.dumps(stream.name).encode()
        arguments = json.dumps(stream.arguments, separators=(",", ":"), allow_nan=False)
        self._more = f",{arguments[1:-1]}".encode() if stream.arguments else b""

    def of(self, batch: Batch) -> Message:
        """Make the message of a batch; its id follows from the offsets."""
        kwargs = (
            b'{"batch":{"stream":%b,"topic":%b,"topic_id":%b,"partition":%d,"from_offset":%d,"to_offset":%d,"records":[%b]}%b}'
            % (
                self._stream,
                json.dumps(batch.topic).encode(),
                json.dumps(self.topic_id).encode(),
                batch.partition,
                batch.from_offset,
                batch.to_offset,
                b",".join(batch.records),
                self._more,
            )
        )
        task_id = batch_id(batch.topic, batch.partition, batch.from_offset, batch.to_offset - 1)
        return encoded_task_message(self._task, task_id=task_id, kwargs_json=kwargs, origin=self._origin)
