"""The commands of docs/job-results.md do what the page says, on the files of a real job."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import duckdb
import pytest
from needs import is_missing
from worker_jobs import Job, Platform, claim_output

from millrace_contracts.outputs import OutputJoin, ResultFormat, Writing

PAGE: Final = Path(__file__).parents[2] / "docs" / "job-results.md"
RECORDS, LABELS = 30, 3


def documented(language: str, words: str) -> str:
    """Answer the one block of the page in a language that holds these words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (block,) = [block for block in blocks if words in block]
    return str(block)


def shell(text: str, folder: Path) -> str:
    """Run lines as a reader would, in the folder of the results; they must end well."""
    if shutil.which("jq") is None:
        is_missing("the commands of the page need jq")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert 0 == done.returncode, f"{done.stdout}{done.stderr}"
    return done.stdout


def run(pool: Platform, path: str, result_format: ResultFormat, lines: list[str]) -> tuple[Job, Path]:
    """Do a job of three tasks, and answer the folder of its results."""
    source = pool.write_input(lines, f"in/{path}.jsonl")
    spec = pool.spec(output=claim_output(path), key_field="id", records_per_task=12)
    writing = Writing(format=result_format, join=OutputJoin.KEY)
    job = pool.submit(spec.model_copy(update={"writing": writing}), source)
    job.wait_until_finalized()
    return job, pool.claim / path


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Good records, two without what the model wants, and one that is none."""
    good = [json.dumps({"id": f"k{i}", "x": [i % LABELS, 0]}) for i in range(RECORDS)]
    return [*good, '{"id": "short", "x": [1]}', '{"id": "none"}', "no JSON"]


@pytest.fixture(scope="module")
def results(pool: Platform, lines: list[str]) -> Path:
    """The folder of a job whose results are lines of JSON."""
    return run(pool, "as-lines", ResultFormat.JSONL, lines)[1]


def test_failures_are_counted_by_reason_and_become_an_input_again(pool: Platform, results: Path) -> None:
    counted = shell(documented("sh", "uniq"), results)
    assert ["2 InvalidRecord", "1 MalformedJSON"] == sorted(map(str.strip, counted.splitlines()), reverse=True)
    again = (results / "again.jsonl").read_text().splitlines()
    job, _ = run(pool, "again", ResultFormat.JSONL, again)
    assert (3, 0, 3) == job.counts


@pytest.fixture(scope="module")
def tables(pool: Platform, lines: list[str]) -> Path:
    """The folder of a job whose results are Parquet."""
    return run(pool, "as-parquet", ResultFormat.PARQUET, lines)[1]


def test_all_parts_of_parquet_are_one_table_of_which_pandas_makes_a_frame(tables: Path) -> None:
    code = documented("python", "pyarrow.dataset") + "print(len(table.to_pandas()), sorted(table.column_names))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tables, capture_output=True, text=True, check=True, timeout=60
    )
    assert f"{RECORDS} ['key', 'line', 'y']" == done.stdout.strip()


def test_duckdb_counts_the_labels_of_either_format_where_it_lies(results: Path, tables: Path) -> None:
    of_tables, of_lines = documented("sql", "read_json").split(";")[:2]
    # The model's output is called y here, and the tables lie on a claim.
    of_tables = of_tables.replace("s3://results/daily/", f"{tables}/").replace("label", "y[1]")
    of_lines = of_lines.replace("'part-", f"'{results}/part-").replace("label", "y")
    expected = [(float(label), RECORDS // LABELS) for label in range(LABELS)]
    with duckdb.connect() as database:
        assert [expected, expected] == [sorted(database.sql(query).fetchall()) for query in (of_tables, of_lines)]
