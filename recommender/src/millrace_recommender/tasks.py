"""The recommender's Celery tasks. A worker has them when MILLRACE_TASK_MODULES names this module.

`recommender.update` gets events of the stream in batches. Their effects in Redis are done once, whatever is delivered
twice; recommendations are made anew each time, because that changes nothing. So when Triton is away the message comes
again until every user of the batch has fresh ones.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from millrace_contracts.streams import StreamBatch, StreamRecord
from millrace_recommender import layout
from millrace_recommender.errors import EventInvalid
from millrace_recommender.events import Event, read_event
from millrace_recommender.recommendations import Known, count_hits
from millrace_recommender.serving import recommend
from millrace_recommender.store import Store, put_events, put_hits
from millrace_worker.context import Context
from millrace_worker.logs import get_logger
from millrace_worker.redelivery import deliver, read_payload
from millrace_worker.streams import run_once

UPDATE: Final = "recommender.update"
WRITE_ACTIVE_USERS: Final = "recommender.write_active_users"

log = get_logger(__name__)


def register(app: Any, context: Context) -> None:
    """Make the tasks known to the Celery app."""
    options = {"bind": True, "max_retries": None, "ignore_result": True, "shared": False}

    @app.task(name=UPDATE, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_update(self: Any, batch: Any) -> None:
        read = read_payload(StreamBatch, batch)
        place = {"topic": read.topic, "partition": read.partition, "offset": read.from_offset}
        deliver(self, context, lambda: update(read, context), about=place)

    @app.task(name=WRITE_ACTIVE_USERS, **options)  # type: ignore[untyped-decorator] # celery has no types
    def run_write_active_users(self: Any, claim: str, path: str) -> None:
        deliver(self, context, lambda: write_active_users(claim, path, context), about={"claim": claim})


def update(batch: StreamBatch, context: Context) -> None:
    """Take events into features, and give each user of the batch fresh recommendations."""
    store = Store(context.redis)
    began_at = context.now()
    events, _ = sorted_out(batch.records, now=began_at)
    users = sorted({event.user for event in events})
    known = store.known(users)

    def effects(todo: StreamBatch, pipe: Any) -> None:
        fresh, refused = sorted_out(todo.records, now=began_at)
        put_events(pipe, fresh, now=began_at)
        put_hits(pipe, count_hits(fresh, known), now=began_at)
        if refused:
            pipe.incrby(layout.REFUSED, len(refused))

    done = run_once(batch, context.redis, effects)
    _, refused = sorted_out(done.records, now=began_at)
    if refused:
        log.warning("events passed over: they mean nothing", topic=batch.topic, first=refused[0], count=len(refused))
    store.write_recommendations(recommend(store.histories(users), context))
    written_at = context.now()
    store.note_latencies([written_at - event.at for event in events if not knows(known[event.user], event)])


def knows(state: Known, event: Event) -> bool:
    """Say whether the user's recommendations were made with this event, by an earlier delivery of the message."""
    return state.recommendations is not None and state.recommendations.event_at >= event.at


def sorted_out(records: Sequence[StreamRecord], *, now: float) -> tuple[list[Event], list[str]]:
    """Read the events that can be read, in the order of their times, and say of the others why not."""
    events, refused = [], []
    for record in records:
        try:
            events.append(read_event(record, now=now))
        except EventInvalid as error:
            refused.append(f"offset {record.offset}: {error}")
    return sorted(events, key=lambda event: event.at), refused


def write_active_users(claim: str, path: str, context: Context) -> None:
    """Write a record for each active user onto a claim, as the input of a PredictionJob; replaces an earlier file."""
    store = Store(context.redis)
    users = store.active_users(since=context.now() - layout.ACTIVE_SECONDS)
    lines = [
        json.dumps({"key": user, layout.ITEMS: list(history.items), layout.WEIGHTS: list(history.weights)}) + "\n"
        for user, history in store.histories(users).items()
        if history.items
    ]
    file = context.settings.claims_root / claim / path
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(f"{file}.unfinished-{os.getpid()}")
    unfinished.write_text("".join(lines))
    # Whoever reads the file sees the whole of it.
    unfinished.replace(file)
    log.info("active users written", users=len(lines), file=str(file))
