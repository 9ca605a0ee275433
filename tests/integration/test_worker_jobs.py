"""Whole jobs on real servers: where results go, and which records fail by themselves."""

import json

from waiters import wait_until
from worker_jobs import Job, Platform, claim_output

from millrace_contracts.ledger import Field
from millrace_contracts.tasks import TIDY, JobRef, RetryPolicy, TidyTask


def records(count: int) -> list[dict[str, object]]:
    return [{"id": i, "x": [i, 0.5]} for i in range(count)]


def test_inline_records_are_predicted_into_redis(pool: Platform) -> None:
    job = pool.submit(pool.spec(key_field="id", records_per_task=7), records(40))
    job.wait_until_finalized()
    assert job.counts == (40, 40, 0)
    assert {key: result["outputs"] for key, result in job.results.items()} == {
        str(i): {"y": [float(i), 0.5]} for i in range(40)
    }
    assert job.errors == {}
    assert job.manifest["records"] == {"total": 40, "succeeded": 40, "failed": 0, "cached": 0}
    assert job.manifest["modelVersion"] == "1"
    assert job.number(Field.SHARDS_TOTAL) == 6
    assert job.number(Field.IN_FLIGHT) == 0
    assert 0 < pool.redis.ttl(f"millrace:{{{job.uid}}}:results") <= 600


def line_of_plan(job: Job) -> str:
    lines = job.platform.workers[0].log.splitlines()
    return next((line for line in lines if job.uid in line and "plan published" in line), "")


def test_inline_records_keep_to_the_window_of_their_job(pool: Platform) -> None:
    job = pool.submit(pool.spec(key_field="id", records_per_task=1), records(9), window=2)
    job.wait_until_finalized()
    planned = wait_until(lambda: line_of_plan(job), what="the line of the plan", explain=pool.logs)
    assert (9, 2) == (json.loads(planned)["shards"], json.loads(planned)["published"])
    assert (9, {str(i) for i in range(9)}) == (job.number(Field.SHARDS_DONE), set(job.results))


def test_a_file_is_predicted_into_part_files_in_its_order(pool: Platform) -> None:
    source = pool.write_input([json.dumps({"x": [i, 1]}) for i in range(25)])
    left = pool.claim / "out"
    left.mkdir()
    (left / "part-00099.jsonl").touch()
    (left / ".millrace-job").write_text('{"uid": "gone", "job": "test/gone"}')
    job = pool.submit(pool.spec(output=claim_output(), records_per_task=10), source)
    job.wait_until_finalized()
    assert job.fields[Field.OUTPUT_URI] == "pvc://data/out"
    assert job.fields[Field.MANIFEST_URI] == "pvc://data/out/manifest.json"
    out = pool.claim / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    parts = [part["name"] for part in manifest["parts"]]
    assert parts == ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl"]
    assert sorted(file.name for file in out.iterdir()) == ["manifest.json", *parts]
    lines = [json.loads(line) for part in parts for line in (out / part).read_text().splitlines()]
    assert [line["key"] for line in lines] == [f"records.jsonl:{n}" for n in range(1, 26)]
    assert [line["outputs"]["y"][0] for line in lines] == [float(i) for i in range(25)]


def test_the_checkpoints_of_a_job_that_nobody_goes_on_with_are_removed_and_its_results_stay(pool: Platform) -> None:
    out, uid = pool.claim / "failed", "a-job-that-is-gone"
    (out / ".checkpoints" / uid).mkdir(parents=True)
    (out / ".checkpoints" / uid / "00000.json").touch()
    for name in ("part-00000.jsonl", ".millrace-job"):
        (out / name).touch()
    task = TidyTask(job=JobRef(namespace="test", name="gone", uid=uid), output_uri="pvc://data/failed")
    pool.publish(TIDY, {"payload": task.model_dump(mode="json")}, f"{uid}:tidy")
    wait_until(lambda: not (out / ".checkpoints").exists(), what="the checkpoints to be gone", explain=pool.logs)
    assert {"part-00000.jsonl", ".millrace-job"} == {file.name for file in out.iterdir()}


def test_each_bad_record_fails_alone_with_its_line_and_reason(pool: Platform) -> None:
    source = pool.write_input(
        [
            '{"id": "good-1", "x": [1, 2]}',
            "",
            '{"id": "broken", "x": [1, 2',
            '{"id": "short", "x": [1]}',
            '{"id": "text", "x": ["1", "2"]}',
            '{"x": [1, 2]}',
            '{"id": "good-1", "x": [3, 4]}',
            '{"id": "good-2", "x": [5, 6]}',
        ]
    )
    job = pool.submit(pool.spec(key_field="id"), source)
    job.wait_until_finalized()
    assert job.counts == (7, 2, 5)
    assert {key: result["line"] for key, result in job.results.items()} == {"good-1": 1, "good-2": 8}
    assert {key: (error["line"], error["error"]["code"]) for key, error in job.errors.items()} == {
        "records.jsonl:3": (3, "MalformedJSON"),
        "short": (4, "InvalidRecord"),
        "text": (5, "InvalidRecord"),
        "records.jsonl:6": (6, "InvalidRecord"),
        "records.jsonl:7": (7, "DuplicateKey"),
    }
    failures = pool.redis.hgetall(f"millrace:{{{job.uid}}}:failures")
    assert failures["InvalidRecord:count"] == "3"
    assert failures["InvalidRecord:key"] == "short"


def test_a_record_on_which_the_model_fails_leaves_its_batch_unharmed(pool: Platform) -> None:
    spec = pool.spec(model="faulty", key_field="id")
    values = [{"id": i, "x": [-1 if i == 13 else i, 0]} for i in range(30)]
    job = pool.submit(spec, values)
    job.wait_until_finalized()
    assert job.counts == (30, 29, 1)
    assert job.errors["13"]["error"] == {
        "code": "InferenceFailed",
        "message": "negative numbers are not known here",
        "attempts": 4,
    }
    assert job.number(Field.RETRIED) == 1


def test_without_a_retry_only_the_record_that_is_not_answered_in_time_fails(pool: Platform) -> None:
    spec = pool.spec(model="moody", key_field="id", max_batch_size=4).model_copy(
        update={"request_timeout_seconds": 2, "retry": RetryPolicy(max_retries_per_record=0)}
    )
    job = pool.submit(spec, [{"id": i, "x": [-4 if i == 5 else i, 0]} for i in range(12)])
    job.wait_until_finalized()
    assert ((12, 11, 1), {"5"}) == (job.counts, set(job.errors))
    assert ("InferenceFailed", 1) == (job.errors["5"]["error"]["code"], job.errors["5"]["error"]["attempts"])
    assert 0 == job.number(Field.RETRIED)


def test_a_model_without_batching_answers_records_of_any_length(pool: Platform) -> None:
    values = [{"id": "a", "text": ["one"]}, {"id": "b", "text": ["two", "drei \u00fc"]}]
    job = pool.submit(pool.spec(model="whole", key_field="id"), values)
    job.wait_until_finalized()
    assert {key: result["outputs"]["echo"] for key, result in job.results.items()} == {
        "a": ["ONE"],
        "b": ["TWO", "DREI \u00dc"],
    }


def test_shards_work_in_processes_that_were_forked_anew(platform: Platform) -> None:
    platform.worker(arguments=("--max-tasks-per-child=1",))
    job = platform.submit(platform.spec(key_field="id", records_per_task=1), records(26))
    job.wait_until_finalized()
    assert job.counts == (26, 26, 0)
