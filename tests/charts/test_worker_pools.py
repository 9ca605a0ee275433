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


BUDGETED: dict[str, Any] = {
    "workerPools": [
        {
            "name": "digits",
            "gpu": {"count": 2},
            "budgetRef": {"name": "gpus"},
            "priority": 3,
            "schedules": [
                {"cron": "0 8 * * 1-5", "timeZone": "Europe/Berlin", "minReplicas": 2, "durationSeconds": 36000}
            ],
            "triton": {"mode": "external", "url": "triton:8001", "metricsUrl": "http://triton:8002/metrics"},
        }
    ],
    "capacityBudgets": [{"name": "gpus", "capacity": 8, "unit": "Replica"}],
}


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a resource's schema as the API server takes it: keys that are not in it are dropped."""
    closed = {key: _closed(value) if isinstance(value, dict) else value for key, value in schema.items()}
    return closed | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


@pytest.mark.parametrize(
    "values", [digits_pool(), digits_pool(idleSeconds=5, fallback={"replicas": 1}), BUDGETED], ids=str
)
def test_resources_satisfy_their_definitions(values: dict[str, Any]) -> None:
    definitions = [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in (REPOSITORY / "manifests" / "crds").glob("*.yaml")
    ]
    schemas = {
        definition["spec"]["names"]["kind"]: definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for definition in definitions
    }

    ours = [m for m in render(values) if m["kind"] in schemas]

    assert {"WorkerPool"} <= {m["kind"] for m in ours}
    for manifest in ours:
        jsonschema.validate(manifest["spec"], _closed(schemas[manifest["kind"]]["properties"]["spec"]))


def test_schedules_priority_and_budget_reach_the_pool_and_the_budget_is_made() -> None:
    manifests = render(BUDGETED)

    spec = find(manifests, "WorkerPool", "digits")["spec"]
    assert BUDGETED["workerPools"][0]["schedules"] == spec["schedules"]
    assert 3 == spec["priority"]
    assert {"capacity": 8, "unit": "Replica"} == find(manifests, "CapacityBudget", "gpus")["spec"]


@pytest.mark.parametrize(
    ("pool", "unit", "units"),
    [
        ({"gpu": {"count": 2}}, "GPU", 2),
        ({"gpu": {"count": 2}}, "Replica", 1),
        ({"gpu": {"count": 0}}, "Replica", 1),
        # A budget that this chart does not make.
        ({"gpu": {"count": 2}}, None, 2),
        ({"gpu": {"count": 0}}, None, 1),
        ({"gpu": {"count": 2}, "unitsPerReplica": 4}, "GPU", 4),
    ],
    ids=str,
)
def test_a_replica_takes_its_gpus_where_gpus_are_counted_else_one(
    pool: dict[str, Any], unit: str | None, units: int
) -> None:
    reference = {"name": "b"} | {k: v for k, v in pool.items() if k == "unitsPerReplica"}
    budgets = [{"name": "b", "capacity": 8, "unit": unit}] if unit else []

    manifests = render(digits_pool(gpu=pool["gpu"], budgetRef=reference) | {"capacityBudgets": budgets})

    assert {"name": "b", "unitsPerReplica": units} == find(manifests, "WorkerPool", "digits")["spec"]["budgetRef"]


def test_what_is_learned_is_not_written_down() -> None:
    spec = find(render(digits_pool()), "WorkerPool", "digits")["spec"]

    assert not {"idleSeconds", "schedules", "budgetRef", "source"} & spec.keys()


@pytest.mark.parametrize(
    ("triton", "metrics"),
    [
        ({"mode": "sidecar", "modelRepository": {"uri": "s3://m"}}, {"metricsPort": 8002}),
        (
            {"mode": "service", "modelRepository": {"uri": "s3://m"}},
            {"metricsURL": "http://r-triton-digits.n.svc.cluster.local:8002/metrics"},
        ),
        (
            {"mode": "external", "url": "t.example:8001", "metricsUrl": "http://t.example:8002/metrics"},
            {"metricsURL": "http://t.example:8002/metrics"},
        ),
        ({"mode": "external", "url": "t.example:8001"}, None),
        ({"mode": "none"}, None),
    ],
    ids=str,
)
def test_pool_says_where_its_triton_tells_how_busy_it_is(
    triton: dict[str, Any], metrics: dict[str, Any] | None
) -> None:
    assert metrics == find(render(digits_pool(triton=triton)), "WorkerPool", "digits")["spec"].get("triton")


@pytest.mark.parametrize("mode", ["sidecar", "service"])
def test_operator_may_ask_a_triton_how_busy_it_is(mode: str) -> None:
    manifests = render(digits_pool(triton={"mode": mode, "modelRepository": {"uri": "s3://m"}}))

    ingress = find(manifests, "NetworkPolicy", "r-worker" if mode == "sidecar" else "r-triton")["spec"]["ingress"]
    components = [
        r["from"][0]["podSelector"]["matchExpressions"][0]["values"] for r in ingress if {"port": 8002} in r["ports"]
    ]
    assert [["prometheus", "operator"]] == components
    egress = find(manifests, "NetworkPolicy", "r-operator")["spec"]["egress"]
    assert {"port": 8002} in egress[-1]["ports"]


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


OPERATOR_RIGHTS = [
    # What it publishes: plans, and words to workers.
    ("write", "millrace", True),
    ("write", "celery.pidbox", True),
    # Heartbeats.
    ("read", "celeryev", True),
    ("write", "celeryev.millrace.5c1e", True),
    ("read", "celeryev.millrace.5c1e", True),
    # What workers answer.
    ("read", "reply.celery.pidbox", True),
    ("write", "0b5e1a52-7c3d-3b1e-9f00-1c2d3e4f5a6b.reply.celery.pidbox", True),
    ("read", "0b5e1a52-7c3d-3b1e-9f00-1c2d3e4f5a6b.reply.celery.pidbox", True),
    # Times of delayed tasks.
    ("read", "celery_delayed_27", True),
    ("write", "millrace.operator.delayed.5c1e", True),
    ("read", "millrace.operator.delayed.5c1e", True),
    # Tasks and workers' own mail are none of its business.
    ("read", "digits", False),
    ("write", "digits", False),
    ("read", "digits.dead", False),
    ("read", "worker@digits-1.celery.pidbox", False),
    ("write", "amq.default", False),
]


@pytest.mark.parametrize(("right", "name", "is_given"), OPERATOR_RIGHTS, ids=str)
def test_operator_has_the_rights_at_the_broker_that_it_uses(right: str, name: str, *, is_given: bool) -> None:
    definitions = json.loads(find(render(digits_pool()), "ConfigMap", "r-rabbitmq")["data"]["definitions.json"])
    (rights,) = [p for p in definitions["permissions"] if p["user"] == "operator"]

    assert is_given == bool(re.search(rights[right], name))


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
