"""Ask an API server what it makes of an object, without keeping it: many questions, over one connection."""

import json
from typing import Final

import httpx
from kubectl import Resource

PLURALS: Final = {"PredictionJob": "predictionjobs", "WorkerPool": "workerpools"}


class Server(httpx.Client):
    """The API server, for one namespace; a kubectl process for each question would take three times as long."""

    def __init__(self, url: str, namespace: str) -> None:
        super().__init__(base_url=url, timeout=60.0)
        self.namespace = namespace


def ask(server: Server, resource: Resource) -> httpx.Response:
    """Let the API server check and complete an object without keeping it, as `kubectl apply` does."""
    group, plural = resource["apiVersion"], PLURALS[resource["kind"]]
    return server.patch(
        f"/apis/{group}/namespaces/{server.namespace}/{plural}/{resource['metadata']['name']}",
        params={"dryRun": "All", "fieldManager": "kubectl", "fieldValidation": "Strict", "force": "true"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=json.dumps(resource),
    )


def dry_run(server: Server, resource: Resource) -> Resource:
    """Answer an object as the API server completes it."""
    answer = ask(server, resource)
    assert answer.is_success, answer.text
    completed: Resource = answer.json()
    return completed


def refusal(server: Server, resource: Resource) -> str:
    """Apply an object that must be refused and return what the user is told."""
    answer = ask(server, resource)
    # What does not fit the schema is answered with 500.
    assert answer.is_error, answer.text
    message: str = answer.json()["message"]
    return message
