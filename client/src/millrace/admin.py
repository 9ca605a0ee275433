"""What operators of the platform ask of the gateway, with a key that has the scope admin. Answers are its JSON."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from millrace.connection import Connection
from millrace.errors import Refused, UnexpectedAnswer
from millrace.protocol import Call

Json = dict[str, Any]


class Admin:
    """Schedules, models, pipelines, dead letters and results of jobs, over the connection of a client."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def schedules(self) -> list[Json]:
        """List the schedules."""
        return _items(self._ask("GET", "schedules"))

    def schedule(self, name: str) -> Json:
        """Show a schedule."""
        return self._ask("GET", "schedules", name)

    def save_schedule(self, entry: Mapping[str, Any]) -> Json:
        """Create or replace a schedule."""
        return self._ask("PUT", "schedules", str(entry["name"]), body=dict(entry))

    def remove_schedule(self, name: str) -> Json:
        """Remove a schedule."""
        return self._ask("DELETE", "schedules", name)

    def switch_schedule(self, name: str, *, is_enabled: bool) -> Json:
        """Pause a schedule, or let it go on."""
        return self._ask("PATCH", "schedules", name, body={"enabled": is_enabled})

    def run_schedule(self, name: str) -> Json:
        """Send now what a schedule sends."""
        return self._ask("POST", "schedules", name, "run", body={})

    def models(self) -> list[Json]:
        """List the models that pipelines have made versions of."""
        return _items(self._ask("GET", "models"))

    def model_versions(self, model: str) -> Json:
        """Show the versions of a model."""
        return self._ask("GET", "models", model, "versions")

    def pipelines(self) -> list[Json]:
        """List the pipelines that ever ran."""
        return _items(self._ask("GET", "pipelines"))

    def pipeline_runs(self, name: str) -> list[Json]:
        """List the last runs of a pipeline."""
        return _items(self._ask("GET", "pipelines", name, "runs"))

    def run_pipeline(self, name: str, *, parameters: Mapping[str, Any], run_id: str = "") -> Json:
        """Start a run of a pipeline."""
        return self._ask("POST", "pipelines", name, "runs", body={"parameters": dict(parameters), "runId": run_id})

    def dead_letter_queues(self) -> list[Json]:
        """List the queues with the number of their dead letters."""
        return _items(self._ask("GET", "dead-letters"))

    def dead_letters(self, queue: str, *, limit: int) -> list[Json]:
        """Look at the oldest dead letters of a queue."""
        return _items(self._ask("GET", "dead-letters", queue, params={"limit": str(limit)}))

    def redrive(self, queue: str, *, task_id: str | None, limit: int) -> Json:
        """Send dead letters to work again."""
        return self._ask("POST", "dead-letters", queue, "redrive", body={"taskId": task_id, "limit": limit})

    def purge(self, queue: str, *, task_id: str | None) -> Json:
        """Throw dead letters away."""
        return self._ask("POST", "dead-letters", queue, "purge", body={"taskId": task_id})

    def job_results(self, uid: str, *, outcome: str) -> Iterator[Json]:
        """Read all results of a job, or its failures, that lie in Redis."""
        cursor: int | None = 0
        while cursor is not None:
            page = self._ask("GET", "jobs", uid, "results", params={"outcome": outcome, "cursor": str(cursor)})
            yield from _items(page)
            cursor = page.get("cursor")

    def _ask(
        self, method: str, *path: str, params: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Json:
        if not all(path) or any("/" in part for part in path):
            # A gateway would see other words of the path than were meant.
            raise Refused(f"{path[-1]!r} is no name: a name is not empty and has no slash", code="InvalidRequest")
        place = "/v1/" + "/".join(quote(part, safe="") for part in path)
        answer = self._connection.send(Call(method=method, path=place, params=params or {}, body=body))
        if not isinstance(answer, dict):
            raise UnexpectedAnswer(f"the gateway's answer to {method} {place} is not an object; is it of this version?")
        return answer


def _items(page: Json) -> list[Json]:
    items = page.get("items")
    if not isinstance(items, list):
        raise UnexpectedAnswer("the gateway's answer has no items; is it of this version?")
    return items
