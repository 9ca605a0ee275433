"""Removing the release leaves nothing behind, even while a job runs."""

from commands import run
from installation import NAMESPACE, RELEASE, Platform
from prediction_jobs import KIND, slow_job, submit, wait_until_working
from waiters import wait_until

MODEL_VERSIONS = "modelversions.millrace.dev"
# What every namespace has, and what the tests themselves put there.
OF_THE_NAMESPACE = {
    "configmap/kube-root-ca.crt",
    "serviceaccount/default",
    "persistentvolumeclaim/digits",
    "pod/claim-loader",
}


def _kinds(*, namespaced: bool) -> list[str]:
    flag = f"--namespaced={str(namespaced).lower()}"
    kinds = run("kubectl", "api-resources", flag, "--verbs=list", "--output=name").split()
    return [kind for kind in kinds if not kind.startswith("events") and "metrics.k8s.io" not in kind]


def _volumes() -> set[str]:
    names = run("kubectl", "get", "persistentvolumes", "--output=name").split()
    return {name.removeprefix("persistentvolume/") for name in names}


def _objects_left(platform: Platform) -> set[str]:
    listed = platform.kubectl.run("get", ",".join(_kinds(namespaced=True)), "--output=name", "--ignore-not-found")
    return set(listed.split()) - OF_THE_NAMESPACE


def test_uninstalling_in_mid_job_leaves_nothing_behind(platform: Platform) -> None:
    name = submit(platform, slow_job("interrupted", records=60, seconds_each=1.0))
    wait_until_working(platform, name)
    volumes = {claim["spec"]["volumeName"] for claim in platform.kubectl.list("persistentvolumeclaims")}

    platform.release.uninstall()
    # Helm never removes objects that it has not made. Jobs end at once, with no operator to ask; versions of models are
    # a history that stays for whoever installs again beside the same Redis.
    platform.kubectl.run("delete", f"{KIND},{MODEL_VERSIONS}", "--all", "--timeout=20s")

    wait_until(
        lambda: not _objects_left(platform),
        what="the namespace to hold nothing of the release",
        timeout_seconds=60,
        interval_seconds=1,
        explain=lambda: _objects_left(platform),
    )
    assert "" == run(
        "kubectl",
        "get",
        ",".join(_kinds(namespaced=False)),
        f"--selector=app.kubernetes.io/instance={RELEASE}",
        "--output=name",
    )
    of_the_servers = volumes - {platform.kubectl.require("pvc", "digits")["spec"]["volumeName"]}
    assert 4 == len(of_the_servers)
    # The cluster's provisioner takes them one after the other.
    wait_until(
        lambda: not of_the_servers & _volumes(), what="the volumes to be gone", timeout_seconds=60, interval_seconds=1
    )


def test_the_namespace_can_be_deleted_afterwards(platform: Platform) -> None:
    assert not platform.release.exists()

    run("kubectl", "delete", "namespace", NAMESPACE, "--timeout=90s", timeout_seconds=120)
