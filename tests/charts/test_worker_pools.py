import json
import re
from typing import Any

import jsonschema
import pytest
import yaml
from rendered_charts import REPOSITORY, Manifest, containers, digits_pool, env, find, render

pytestmark = pytest.mark.charts


def _pod(manifests: list[Manifest], name: str = "r-worker-digits") -> Manifest:
    spec: Manifest = find(manifests, "Deployment", name)["spec"]["template"]["spec"]
    return spec


def _container(spec: Manifest, name: str) -> Manifest:
    (match,) = [c for c in containers(spec) if c["name"] == name]
    return match


def _claim(**overrides: object) -> dict[str, Any]:
    repository = {"persistentVolumeClaim": {"claimName": "digits", "subPath": "models"}}
    return digits_pool(triton={"mode": "sidecar", "modelRepository": repository} | overrides)


def test_each_pool_is_a_deployment_and_a_resource_that_names_it() -> None:
    manifests = render(digits_pool(queue="images", maxReplicas=7, objective={"waitSeconds": 5}))

    pool = find(manifests, "WorkerPool", "digits")
    assert "r-worker-digits" == pool["spec"]["workloadRef"]["name"]
    assert ("images", 7) == (pool["spec"]["queue"], pool["spec"]["maxReplicas"])
    assert {"waitSeconds": 5, "percentile": 95} == pool["spec"]["objective"]
    worker = _container(_pod(manifests), "worker")
    assert "images" == env(worker)["MILLRACE_QUEUE"]
    assert str(pool["spec"]["concurrency"]) == env(worker)["MILLRACE_CONCURRENCY"]


def test_system_pool_is_always_there_without_triton() -> None:
    manifests = render()

    assert 1 == find(manifests, "WorkerPool", "system")["spec"]["minReplicas"]
    spec = _pod(manifests, "r-worker-system")
    assert ["worker"] == [c["name"] for c in containers(spec)]
    assert "MILLRACE_TRITON_URL" not in env(_container(spec, "worker"))


@pytest.mark.parametrize("values", [digits_pool(), digits_pool(idleSeconds=5, fallback={"replicas": 1})], ids=str)
def test_pool_resources_satisfy_the_resource_definition(values: dict[str, Any]) -> None:
    source = REPOSITORY / "manifests" / "crds" / "workerpools.yaml"
    definition = yaml.safe_load(source.read_text(encoding="utf-8"))
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    known = set(schema["properties"])

    for pool in [m for m in render(values) if m["kind"] == "WorkerPool"]:
        jsonschema.validate(pool["spec"], schema)
        assert set(pool["spec"]) <= known


def test_zero_of_a_pool_wins_over_the_default() -> None:
    manifests = render(digits_pool(minReplicas=0) | {"workerPoolDefaults": {"minReplicas": 2}})

    assert 0 == find(manifests, "WorkerPool", "digits")["spec"]["minReplicas"]


def test_pool_starts_with_its_least_replicas() -> None:
    manifests = render(digits_pool(minReplicas=3))

    assert 3 == find(manifests, "Deployment", "r-worker-digits")["spec"]["replicas"]


def test_sidecar_is_native_and_gates_the_worker() -> None:
    (triton,) = _pod(render(_claim()))["initContainers"]

    assert "Always" == triton["restartPolicy"]
    assert "/v2/health/ready" == triton["startupProbe"]["httpGet"]["path"]
    assert "--model-repository=/models" in triton["args"]


def test_models_on_a_data_claim_share_its_volume() -> None:
    # A pod that names one claim in two volumes never starts.
    spec = _pod(render(_claim() | {"dataClaims": [{"claimName": "digits"}]}))

    claims = [v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
    assert ["digits"] == claims
    mounts = {m["mountPath"]: m for m in _container(spec, "triton")["volumeMounts"]}
    assert ("claim-digits", "models", True) == tuple(mounts["/models"][k] for k in ("name", "subPath", "readOnly"))


def test_models_on_a_claim_of_their_own_have_their_own_volume() -> None:
    spec = _pod(render(_claim()))

    assert {"claimName": "digits"} == {v["name"]: v.get("persistentVolumeClaim") for v in spec["volumes"]}["models"]


def test_data_claims_are_mounted_by_every_worker() -> None:
    manifests = render(digits_pool() | {"dataClaims": [{"claimName": "a"}, {"claimName": "b.c"}]})

    for name in ("r-worker-digits", "r-worker-system"):
        paths = {m["mountPath"] for m in _container(_pod(manifests, name), "worker")["volumeMounts"]}
        assert {"/var/lib/millrace/claims/a", "/var/lib/millrace/claims/b.c"} <= paths


@pytest.mark.parametrize(
    ("triton", "url"),
    [
        ({"mode": "sidecar", "modelRepository": {"uri": "s3://m"}}, "127.0.0.1:8001"),
        (
            {"mode": "service", "modelRepository": {"uri": "s3://m"}},
            "dns:///r-triton-digits.n.svc.cluster.local:8001",
        ),
        ({"mode": "external", "url": "triton.example:8001"}, "triton.example:8001"),
        ({"mode": "none"}, None),
    ],
    ids=lambda v: v["mode"] if isinstance(v, dict) else "",
)
def test_worker_is_told_where_its_triton_is(triton: dict[str, Any], url: str | None) -> None:
    worker = _container(_pod(render(digits_pool(triton=triton))), "worker")

    assert url == env(worker).get("MILLRACE_TRITON_URL")


@pytest.mark.parametrize(("mode", "holder"), [("sidecar", "triton"), ("none", "worker")])
def test_gpus_go_to_the_container_that_infers(mode: str, holder: str) -> None:
    repository = {"modelRepository": {"uri": "s3://m"}} if mode == "sidecar" else {}
    spec = _pod(render(digits_pool(gpu={"count": 2}, triton={"mode": mode} | repository)))

    holders = {c["name"]: c["resources"].get("limits", {}).get("nvidia.com/gpu") for c in containers(spec)}
    assert {holder: 2} == {name: count for name, count in holders.items() if count}


def test_shared_triton_has_the_gpus_and_the_worker_none() -> None:
    triton = {"mode": "service", "replicas": 3, "modelRepository": {"uri": "s3://m"}}
    manifests = render(digits_pool(gpu={"count": 1, "resourceName": "amd.com/gpu"}, triton=triton))

    deployment = find(manifests, "Deployment", "r-triton-digits")
    assert 3 == deployment["spec"]["replicas"]
    assert 1 == deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["amd.com/gpu"]
    assert "amd.com/gpu" not in json.dumps(_pod(manifests))
    assert "None" == find(manifests, "Service", "r-triton-digits")["spec"]["clusterIP"]


def test_placement_of_a_pool_reaches_its_pods() -> None:
    toleration = {"key": "nvidia.com/gpu", "operator": "Exists"}
    spec = _pod(render(digits_pool(nodeSelector={"gpu": "a100"}, tolerations=[toleration], priorityClassName="batch")))

    assert {"gpu": "a100"} == spec["nodeSelector"]
    assert [toleration] == spec["tolerations"]
    assert "batch" == spec["priorityClassName"]


def test_grace_is_longer_than_the_longest_task() -> None:
    values = {"worker": {"taskTimeLimitSeconds": 1200, "taskSoftTimeLimitSeconds": 1100}}

    assert 1260 == _pod(render(digits_pool() | values))["terminationGracePeriodSeconds"]


def test_celery_is_process_one() -> None:
    # A shell in front of it would swallow SIGTERM, and tasks would be cut off.
    assert "celery" == _container(_pod(render(digits_pool())), "worker")["command"][0]


def test_every_pool_has_its_queue_and_dead_letter_queue_from_the_start() -> None:
    definitions = json.loads(
        find(render(digits_pool(queue="images")), "ConfigMap", "r-rabbitmq")["data"]["definitions.json"]
    )

    assert {"system", "system.dead", "images", "images.dead"} == {q["name"] for q in definitions["queues"]}
    assert {"x-queue-type": "quorum"} == definitions["queues"][0]["arguments"]
    dead = {(b["source"], b["routing_key"], b["destination"]) for b in definitions["bindings"]}
    assert ("millrace", "images", "images") in dead
    # A retried task has digits in front of its key; "#." takes it too.
    assert ("millrace.dead", "#.images", "images.dead") in dead


def test_new_pool_does_not_restart_the_broker() -> None:
    secrets = {
        "rabbitmq": {"auth": {"existingSecret": "mine"}},
        "operator": {"connections": {"existingSecret": "mine"}},
    }
    redis = {"redis": {"auth": {"existingSecret": "mine"}}}

    before = find(render(secrets | redis), "StatefulSet", "r-rabbitmq")
    after = find(render(secrets | redis | digits_pool()), "StatefulSet", "r-rabbitmq")

    assert before["spec"]["template"] == after["spec"]["template"]


def test_policies_bound_deliveries_and_leave_celerys_own_queues_alone() -> None:
    definitions = json.loads(find(render(), "ConfigMap", "r-rabbitmq")["data"]["definitions.json"])
    work, dead = definitions["policies"]

    assert (20, "millrace.dead", 1_800_000) == tuple(
        work["definition"][k] for k in ("delivery-limit", "dead-letter-exchange", "consumer-timeout")
    )
    governed = {
        q: bool(re.search(work["pattern"], q)) for q in ("digits", "digits.dead", "celery_delayed_3", "amq.gen-1")
    }
    assert {"digits": True, "digits.dead": False, "celery_delayed_3": False, "amq.gen-1": False} == governed
    assert re.search(dead["pattern"], "digits.dead")
