import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace_demo.layout import INPUT, MODEL_NAME, RECORDS_PATH
from millrace_demo.run_job import CLAIM_PATH, DATA_POD
from millrace_demo.scans import load_scans

SAMPLES = Path(__file__).parents[3] / "manifests" / "samples"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SAMPLES / name).read_text()))


def test_the_job_reads_the_records_and_the_model_that_training_lays_out() -> None:
    spec = documents("digits-job.yaml")[0]["spec"]
    assert (RECORDS_PATH, MODEL_NAME) == (spec["input"]["persistentVolumeClaim"]["path"], spec["model"]["name"])


def test_the_job_uses_the_claim_that_the_data_pod_mounts() -> None:
    claim, pod = documents("digits-data.yaml")
    spec = documents("digits-job.yaml")[0]["spec"]
    mounted = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["spec"]["volumes"]]
    named = [spec[end]["persistentVolumeClaim"]["claimName"] for end in ("input", "output")]
    assert [claim["metadata"]["name"]] * 3 == mounted + named


def test_results_are_read_back_through_the_data_pod() -> None:
    pod = documents("digits-data.yaml")[1]
    mounts = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert (DATA_POD, [CLAIM_PATH]) == (pod["metadata"]["name"], mounts)


def test_the_data_pod_meets_the_restricted_pod_security_standard() -> None:
    spec = documents("digits-data.yaml")[1]["spec"]
    container = spec["containers"][0]["securityContext"]
    assert (True, {"type": "RuntimeDefault"}) == (
        spec["securityContext"]["runAsNonRoot"],
        spec["securityContext"]["seccompProfile"],
    )
    assert (False, ["ALL"]) == (container["allowPrivilegeEscalation"], container["capabilities"]["drop"])


def test_the_inline_records_are_held_out_scans() -> None:
    _, held_out = load_scans()
    scans = dict(zip(held_out.keys, held_out.pixels.astype(int).tolist(), strict=True))
    records = documents("digits-inline-job.yaml")[0]["spec"]["input"]["inline"]["records"]
    assert [{"key": record["key"], INPUT: scans[record["key"]]} for record in records] == records


@pytest.mark.parametrize("name", ["digits-job.yaml", "digits-inline-job.yaml"])
def test_a_sample_is_smaller_than_what_the_operator_takes_inline(name: str) -> None:
    assert len(json.dumps(documents(name))) < 64 * 1024
