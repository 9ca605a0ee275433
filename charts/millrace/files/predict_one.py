"""Send one record through a PredictionJob and print what came back, so that `helm test` proves the whole way.

Runs in the operator's image: it needs only the Kubernetes and Redis clients.
"""

# ruff: noqa: INP001, T201 - a script for a pod, whose output is for people.

import json
import os
import sys
from pathlib import Path
from typing import Any

import redis
from kubernetes import client, config, watch

NAMESPACE = os.environ["POD_NAMESPACE"]
TIMEOUT_SECONDS = int(os.environ["TIMEOUT_SECONDS"])
RESOURCE = {"group": "millrace.dev", "version": "v1alpha1", "namespace": NAMESPACE, "plural": "predictionjobs"}


def say(line: str) -> None:
    """Print at once: Helm shows the output of a pod that is still running."""
    print(line, flush=True)


def create_job(api: client.CustomObjectsApi, spec: dict[str, Any]) -> dict[str, Any]:
    """Create a job with a name that Kubernetes completes, so that two runs never meet; returns its metadata."""
    body = {
        "apiVersion": "millrace.dev/v1alpha1",
        "kind": "PredictionJob",
        "metadata": {"generateName": "helm-test-"},
        "spec": spec,
    }
    return api.create_namespaced_custom_object(**RESOURCE, body=body)["metadata"]


def wait_for_end(api: client.CustomObjectsApi, name: str) -> tuple[dict[str, Any], bool | None]:
    """Return the job's last status and whether its record succeeded; None if the time is over first."""
    status: dict[str, Any] = {}
    shown = ""
    stream = watch.Watch().stream(
        api.list_namespaced_custom_object,
        **RESOURCE,
        field_selector=f"metadata.name={name}",
        timeout_seconds=TIMEOUT_SECONDS,
    )
    for event in stream:
        status = event["object"].get("status", {})
        line = f"{status.get('state', 'Pending')} {status.get('progress', '')}".strip()
        if line != shown:
            say(line)
            shown = line
        verdicts = {c["type"]: c["status"] for c in status.get("conditions", [])}
        if verdicts.get("Succeeded") in {"True", "False"}:
            return status, verdicts["Succeeded"] == "True" and status["records"]["succeeded"] == 1
    return status, None


def print_results(uid: str) -> None:
    """Print the prediction, or why there is none."""
    store = redis.Redis.from_url(os.environ["MILLRACE_REDIS_URL"], decode_responses=True)
    for kind in ("results", "errors"):
        for text in store.hgetall(f"millrace:{{{uid}}}:{kind}").values():
            say(f"{kind}: {text}")


def main() -> None:
    """Run the test; the exit status is the answer."""
    config.load_incluster_config()
    api = client.CustomObjectsApi()
    job = create_job(api, json.loads(Path("/etc/millrace/spec.json").read_text(encoding="utf-8")))
    try:
        status, succeeded = wait_for_end(api, job["name"])
        print_results(job["uid"])
    finally:
        api.delete_namespaced_custom_object(**RESOURCE, name=job["name"])
    if succeeded:
        return
    for condition in status.get("conditions", []):
        say(f"{condition['type']}={condition['status']} {condition['reason']}: {condition['message']}")
    if succeeded is None:
        sys.exit(f"The job did not end within {TIMEOUT_SECONDS} s; the conditions above say what it waits for.")
    sys.exit("The prediction failed; the condition Succeeded and the errors above say why.")


if __name__ == "__main__":
    main()
