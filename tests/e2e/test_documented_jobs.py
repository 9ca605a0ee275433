"""A real API server takes every example of docs/predictionjob.md, CEL rules included.

Needs the cluster and the resource definitions only, no platform.
"""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from commands import PROJECT_ROOT
from documented_jobs import documented_jobs
from kubectl import Kubectl

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    crds = f"--filename={PROJECT_ROOT / 'manifests' / 'crds'}"
    kubectl = Kubectl(f"millrace-docs-{uuid4().hex[:8]}")
    kubectl.run("apply", "--server-side", "--force-conflicts", "--field-manager=helm", crds)
    kubectl.run("wait", "--for=condition=Established", crds)
    kubectl.run("create", "namespace", kubectl.namespace)
    yield kubectl
    kubectl.run("delete", "namespace", kubectl.namespace, "--wait=false")


def test_every_documented_job_is_accepted_as_it_stands(kubectl: Kubectl) -> None:
    jobs = documented_jobs()

    said = kubectl.apply(*jobs.values(), dry_run=True)

    assert [f"predictionjob.millrace.dev/{name} created (server dry run)" for name in jobs] == said.splitlines()
