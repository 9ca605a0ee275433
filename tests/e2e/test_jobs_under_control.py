"""What users do with a job beside waiting for it: suspend it, limit it, try it first, and feed it from elsewhere."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

from claims import CLAIM, put_folder, put_lines
from installation import Platform
from kubectl import Resource
from prediction_jobs import (
    KIND,
    assert_complete,
    condition,
    describe,
    ended,
    file_on_claim,
    inline,
    job,
    outcome,
    records,
    results_in_redis,
    slow_job,
    slow_keys,
    submit,
    wait_for_end,
    wait_until_working,
    why_not_running,
)
from waiters import wait_until


def _change(platform: Platform, name: str, spec: dict[str, Any]) -> None:
    platform.kubectl.run("patch", KIND, name, "--type=merge", f"--patch={json.dumps({'spec': spec})}")


def _wait_for_state(platform: Platform, name: str, state: str) -> Resource:
    def look() -> Resource | None:
        found = platform.kubectl.require(KIND, name)
        there = found.get("status", {}).get("state") == state and records(found).get("inFlight") == 0
        return found if there else None

    return wait_until(
        look, what=f"{name} to be {state} with nothing in flight", explain=lambda: describe(platform, name)
    )


def test_a_suspended_job_gives_its_pods_back_and_goes_on_where_it_was(platform: Platform) -> None:
    name = submit(platform, slow_job("suspended", records=60, seconds_each=0.5))
    wait_until_working(platform, name)

    _change(platform, name, {"suspend": True})
    resting = _wait_for_state(platform, name, "Suspended")
    platform.wait_for_pool_at(0)
    _change(platform, name, {"suspend": False})
    found = wait_for_end(platform, name)

    assert "True" == condition(resting, "Suspended")["status"]
    assert 0 < records(resting)["succeeded"] < 60
    assert_complete(platform, found, slow_keys(60))


def test_a_large_job_does_not_hold_up_a_small_one_of_the_same_pool(platform: Platform) -> None:
    lines = [json.dumps({"key": f"record-{number:03d}", "seconds": [0.4]}) for number in range(200)]
    put_lines(platform.kubectl, "input/large.jsonl", lines)
    batching = {"recordsPerTask": 1, "maxBatchSize": 1, "maxInFlightRequests": 1}
    large = submit(platform, job("large", file_on_claim("input/large.jsonl"), model="slow", batching=batching))
    wait_until_working(platform, large)

    small = submit(platform, slow_job("small", records=4, seconds_each=0.4, records_per_task=1))
    wait_for_end(platform, small)
    found = platform.kubectl.require(KIND, large)
    platform.kubectl.delete(KIND, large)

    assert not ended(found)
    assert 50 < records(found)["pending"]


def test_a_job_ends_when_more_records_fail_than_its_policy_allows(platform: Platform) -> None:
    bad = [{"key": str(number), "pixels": [number]} for number in range(40)]
    batching = {"recordsPerTask": 2}
    limits = {"maxFailedRecords": 3}
    name = submit(platform, job("over-budget", inline(*bad), batching=batching, failurePolicy=limits))

    found = wait_for_end(platform, name)

    assert ("False", "FailureBudgetExceeded") == outcome(found), why_not_running(found)
    assert 4 <= records(found)["failed"] < 40


def test_a_dry_run_checks_every_record_and_computes_nothing(platform: Platform) -> None:
    scans = [{"key": "good", "pixels": [1] * 64}, {"key": "short", "pixels": [1]}]
    name = submit(platform, job("dry-run", inline(*scans), dryRun="ValidateInput"))

    found = wait_for_end(platform, name)

    assert (1, 1) == (records(found)["succeeded"], records(found)["failed"]), why_not_running(found)
    assert {} == results_in_redis(platform, found["metadata"]["uid"], "results")
    assert {"short"} == set(results_in_redis(platform, found["metadata"]["uid"], "errors"))


def test_a_packed_csv_file_becomes_parquet(platform: Platform, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "scans.csv.gz", "wt", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["key", "pixels"])
        writer.writerows([f"row-{number}", json.dumps([number % 17] * 64)] for number in range(300))
    put_folder(platform.kubectl, tmp_path, below="input/csv")
    source = {
        "persistentVolumeClaim": {"claimName": CLAIM, "path": "input/csv/scans.csv.gz"},
        "format": "CSV",
        "keyField": "key",
    }
    output = {"persistentVolumeClaim": {"claimName": CLAIM, "path": "output/csv-to-parquet"}, "format": "Parquet"}
    batching = {"recordsPerTask": 100}
    name = submit(platform, job("csv-to-parquet", source, batching=batching, output=output))

    found = wait_for_end(platform, name)

    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)
    keys = platform.in_worker(f"""
import json, pathlib
import pyarrow.parquet as parquet
parts = sorted(pathlib.Path("/var/lib/millrace/claims/{CLAIM}/output/csv-to-parquet").glob("part-*.parquet"))
print(json.dumps([key for part in parts for key in parquet.read_table(part)["key"].to_pylist()]))
""")
    assert [f"row-{number}" for number in range(300)] == keys


def test_a_range_of_a_topic_is_a_job(platform: Platform) -> None:
    platform.in_worker("""
import json
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from millrace_worker.kafka_settings import read_kafka_settings

settings = read_kafka_settings().client_config()
admin = AdminClient(settings)
for future in admin.create_topics([NewTopic("scans", 2, 1)]).values():
    try:
        future.result(20)
    except Exception as error:
        assert "already exists" in str(error), error
producer = Producer({**settings, "acks": "all"})
for number in range(50):
    producer.produce("scans", key=str(number), value=json.dumps({"id": f"scan-{number}", "pixels": [1] * 64}))
print(producer.flush(30))
""")
    source = {"kafka": {"topic": "scans"}, "keyField": "id"}
    name = submit(platform, job("from-kafka", source, batching={"recordsPerTask": 20}))

    found = wait_for_end(platform, name)

    assert ("True", "AllRecordsSucceeded") == outcome(found), why_not_running(found)
    results = results_in_redis(platform, found["metadata"]["uid"], "results")
    assert {f"scan-{number}" for number in range(50)} <= set(results)
