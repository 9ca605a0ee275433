"""Jobs that last long enough to be disturbed, and what must be there of them in the end."""

import json
from typing import Final

from worker_jobs import Job, Platform, claim_output

from millrace_contracts.ledger import Field

RECORDS: Final = 100
"""Of the model "slow", 50 ms each: five seconds of work at least, in shards of 0.2 s. What happens after the first of
them happens in the middle of the job."""

SHARDS: Final = RECORDS // 4


def slow_job(platform: Platform) -> Job:
    """Have slow records predicted that stand in the job."""
    spec = platform.spec(model="slow", key_field="id", records_per_task=4, max_in_flight_requests=1)
    return platform.submit(spec, [{"id": i, "x": [i, 0]} for i in range(RECORDS)])


def job_of_a_file(platform: Platform, *, window: int) -> Job:
    """Have slow records read from a file, so that shards bring the next ones."""
    source = platform.write_input([json.dumps({"id": i, "x": [i, 0]}) for i in range(RECORDS)])
    spec = platform.spec(
        model="slow", output=claim_output(), key_field="id", records_per_task=4, max_in_flight_requests=1
    )
    return platform.submit(spec, source, window=window)


def assert_file_is_whole(job: Job) -> None:
    """Assert that each record was predicted and counted once, and stands in the files in its place."""
    assert job.counts == (RECORDS, RECORDS, 0)
    folder = job.platform.claim / "out"
    parts = json.loads((folder / "manifest.json").read_text())["parts"]
    lines = [json.loads(line) for part in parts for line in (folder / part["name"]).read_text().splitlines()]
    assert [line["key"] for line in lines] == [str(i) for i in range(RECORDS)]
    assert job.number(Field.IN_FLIGHT) == 0


def assert_whole(job: Job) -> None:
    """Assert that each record was predicted and counted once."""
    assert job.counts == (RECORDS, RECORDS, 0)
    assert {key: result["outputs"]["y"][0] for key, result in job.results.items()} == {
        str(i): float(i) for i in range(RECORDS)
    }
    assert job.number(Field.IN_FLIGHT) == 0
