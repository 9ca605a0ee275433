"""Kafka, streams, the gateway with its cache, and pipelines."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rendered_charts import Manifest, containers, digits_pool, env, find, render

from millrace_contracts.pipelines import PipelineSpec
from millrace_contracts.schedules import ScheduleEntry
from millrace_gateway.settings import Config
from millrace_ingest.settings import read_stream

pytestmark = pytest.mark.charts

STREAM: dict[str, Any] = {"name": "activity", "topic": "events", "task": "team.update", "queue": "digits"}
LOOP: dict[str, Any] = digits_pool() | {
    "kafka": {"enabled": True},
    "streams": [STREAM],
    "gateway": {"enabled": True, "models": [{"name": "digits", "queue": "digits", "cacheTtlSeconds": 60}]},
}
EXTERNAL_KAFKA = {
    "bootstrapServers": "a.example:9094",
    "securityProtocol": "SASL_SSL",
    "existingSecret": "my-kafka",
    "caSecret": "my-authority",
}


def _container(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (container,) = find(manifests, kind, name)["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _data(manifests: list[Manifest], name: str) -> dict[str, str]:
    return dict(find(manifests, "ConfigMap", name)["data"])


def _components(rules: list[Manifest], port: int) -> set[str]:
    """Return the components of our pods that rules name for a port."""
    selectors = [
        peer["podSelector"]
        for rule in rules
        for peer in rule.get("from", rule.get("to", []))
        if {"port": port} in rule["ports"]
    ]
    return {value for s in selectors for e in s.get("matchExpressions", []) for value in e["values"]}


def test_nothing_of_the_loop_is_there_until_it_is_asked_for() -> None:
    names = {m["metadata"]["name"] for m in render()}

    assert not {n for n in names if re.match(r"r-(kafka|cache|gateway|ingest)", n)}


def test_a_bridge_reads_the_entry_of_its_stream(tmp_path: Path) -> None:
    settings = {"highWaterMessages": 5000, "fields": {"user": "who.id"}, "required": ["user"], "keyField": "user"}
    manifests = render(
        LOOP | {"streams": [STREAM | settings | {"replicas": 3, "resources": {"limits": {"memory": "1Gi"}}}]}
    )

    deployment = find(manifests, "Deployment", "r-ingest-activity")
    (tmp_path / "stream.json").write_text(_data(manifests, "r-ingest-activity")["stream.json"], encoding="utf-8")
    stream = read_stream(tmp_path / "stream.json")
    assert ("events", "team.update", "digits", 5000) == (
        stream.topic,
        stream.task,
        stream.queue,
        stream.high_water_messages,
    )
    assert "millrace-activity" == stream.group
    assert 3 == deployment["spec"]["replicas"]
    bridge = _container(manifests, "Deployment", "r-ingest-activity")
    assert "1Gi" == bridge["resources"]["limits"]["memory"]
    assert "/etc/millrace/stream.json" == env(bridge)["MILLRACE_INGEST_CONFIG_FILE"]


def test_streams_differ_in_their_pods_alone() -> None:
    streams = [STREAM, STREAM | {"name": "orders", "topic": "orders"}]
    manifests = render(LOOP | {"streams": streams})

    selectors = [
        find(manifests, "Deployment", f"r-ingest-{s['name']}")["spec"]["selector"]["matchLabels"] for s in streams
    ]
    assert ["activity", "orders"] == [s["millrace.dev/stream"] for s in selectors]


@pytest.mark.parametrize("kind_and_name", [("Deployment", "r-worker-digits"), ("Deployment", "r-ingest-activity")])
def test_workers_and_bridges_reach_the_charts_own_kafka(kind_and_name: tuple[str, str]) -> None:
    known = env(_container(render(LOOP | digits_pool(triton={"mode": "none"})), *kind_and_name))

    assert ("r-kafka:9092", "SASL_PLAINTEXT", "PLAIN", "millrace") == tuple(
        known[f"MILLRACE_KAFKA_{key}"]
        for key in ("BOOTSTRAP_SERVERS", "SECURITY_PROTOCOL", "SASL_MECHANISM", "SASL_USERNAME")
    )
    assert {"secretKeyRef": {"name": "r-kafka", "key": "password"}} == known["MILLRACE_KAFKA_SASL_PASSWORD"]


def test_an_external_kafka_is_reached_with_its_own_credentials_and_authority() -> None:
    manifests = render(LOOP | {"kafka": {"enabled": False}, "externalKafka": EXTERNAL_KAFKA})

    bridge = _container(manifests, "Deployment", "r-ingest-activity")
    known = env(bridge)
    assert {"secretKeyRef": {"name": "my-kafka", "key": "sasl-username"}} == known["MILLRACE_KAFKA_SASL_USERNAME"]
    assert "SCRAM-SHA-512" == known["MILLRACE_KAFKA_SASL_MECHANISM"]
    folder = Path(known["MILLRACE_KAFKA_CA_FILE"]).parent
    assert str(folder) in {mount["mountPath"] for mount in bridge["volumeMounts"]}
    egress = find(manifests, "NetworkPolicy", "r-ingest")["spec"]["egress"]
    assert {"ports": [{"port": 9092}, {"port": 9093}, {"port": 9094}]} in egress


def test_processes_without_a_kafka_are_told_of_none() -> None:
    known = env(_container(render(), "Deployment", "r-worker-system"))

    assert not {name for name in known if "KAFKA" in name or "CACHE" in name}


def test_only_bridges_workers_and_producers_reach_kafka() -> None:
    policy = find(render(LOOP), "NetworkPolicy", "r-kafka")["spec"]

    assert {"worker", "ingest", "producer"} == _components(policy["ingress"], 9092)
    assert [] == policy["egress"]


def test_kafka_listens_to_others_with_a_password_only() -> None:
    lines = _data(render(LOOP), "r-kafka")["server.properties"].splitlines()
    properties = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    listeners = dict(entry.split("://") for entry in properties["listeners"].split(","))
    outside = {name for name, address in listeners.items() if not address.startswith("127.0.0.1:")}
    protocols = dict(entry.split(":") for entry in properties["listener.security.protocol.map"].split(","))
    assert {"SASL_PLAINTEXT"} == {protocols[name] for name in outside}
    assert "CLIENTS://r-kafka.n.svc.cluster.local:9092" in properties["advertised.listeners"]
    assert '"@password@"' in properties["listener.name.clients.plain.sasl.jaas.config"]


def test_the_gateway_reads_its_values_and_the_queues_of_all_pools() -> None:
    manifests = render(LOOP)

    config = Config.model_validate_json(_data(manifests, "r-gateway")["gateway.json"])
    assert ("digits", "digits", 60) == (
        config.models[0].name,
        config.models[0].queue,
        config.models[0].cache_ttl_seconds,
    )
    assert ("system", "digits") == config.pools
    gateway = env(_container(manifests, "Deployment", "r-gateway"))
    assert "/etc/millrace/gateway.json" == gateway["MILLRACE_GATEWAY_CONFIG_FILE"]
    assert "/run/secrets/gateway/keys.json" == gateway["MILLRACE_GATEWAY_KEYS_FILE"]


def test_every_value_of_the_gateways_config_can_be_set() -> None:
    tensors = [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    model = {"name": "m", "queue": "system", "batchQueue": "digits", "version": "3", "maxBatchRecords": 8}
    model |= {"maxBatchSize": 16, "inputs": tensors, "outputs": tensors}
    oidc = {"issuer": "https://id.example", "audience": "millrace", "jwksUrl": "https://id.example/keys"}
    values = {"models": [model], "maxWaitMilliseconds": 2.5, "auth": {"mode": "oidc", "oidc": oidc}}
    values |= {"maxBodyBytes": 2_000_000, "maxRecordsPerRequest": 7, "maxHeldRecords": 9_000_000}
    values |= {"answerTtlSeconds": 61, "requestTimeoutSeconds": 2}

    manifests = render(LOOP | {"gateway": {"enabled": True} | values})

    config = Config.model_validate_json(_data(manifests, "r-gateway")["gateway.json"])
    written = config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert {key: value for key, value in written.items() if key not in {"pools", "auth"}} == {
        key: value for key, value in values.items() if key != "auth"
    }
    assert config.auth.oidc is not None
    assert "https://id.example/keys" == config.auth.oidc.jwks_url
    assert "keys" not in {
        v["name"] for v in find(manifests, "Deployment", "r-gateway")["spec"]["template"]["spec"]["volumes"]
    }


def test_whoever_looks_for_the_gateway_by_its_labels_finds_one_service_and_its_keys() -> None:
    # The command line does.
    wanted = {"app.kubernetes.io/part-of": "millrace", "app.kubernetes.io/component": "gateway"}.items()
    found = {m["kind"]: m for m in render(LOOP) if wanted <= m["metadata"]["labels"].items()}

    services = [m for m in render(LOOP) if m["kind"] == "Service" and wanted <= m["metadata"]["labels"].items()]
    assert [[{"name": "http", "port": 8000, "targetPort": "http"}]] == [s["spec"]["ports"] for s in services]
    assert {"admin-api-key", "predict-api-key", "keys.json"} == found["Secret"]["stringData"].keys()


def test_the_gateway_is_open_to_whom_the_values_name() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
    default, named = (
        find(render(LOOP | values), "NetworkPolicy", "r-gateway")["spec"]["ingress"][0]["from"]
        for values in ({}, {"networkPolicy": {"gatewayFrom": [peer]}})
    )

    assert {"podSelector": {}} in default
    assert peer in named
    assert {"podSelector": {}} not in named


def test_the_cache_forgets_what_it_likes_and_the_store_nothing() -> None:
    manifests = render(LOOP)

    assert "maxmemory-policy allkeys-lfu" in _data(manifests, "r-cache")["redis.conf"]
    assert "maxmemory-policy noeviction" in _data(manifests, "r-redis")["redis.conf"]
    for name in ("r-gateway", "r-worker-digits"):
        (worker,) = find(manifests, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        assert "redis://:$(CACHE_PASSWORD)@r-cache:6379/0" == env(worker)["MILLRACE_CACHE_URL"]


def test_there_is_no_cache_without_a_gateway_to_use_it() -> None:
    assert not [m for m in render({"cache": {"enabled": True}}) if m["metadata"]["name"] == "r-cache"]


def test_a_gateway_can_do_without_a_cache() -> None:
    manifests = render(LOOP | {"cache": {"enabled": False}})

    assert "MILLRACE_CACHE_URL" not in env(_container(manifests, "Deployment", "r-gateway"))


GATEWAY_AND_BRIDGE_RIGHTS = [
    ("gateway", "write", "millrace", True),
    ("gateway", "read", "digits.dead", True),
    ("gateway", "read", "digits", False),
    ("gateway", "write", "amq.default", False),
    ("ingest", "write", "millrace", True),
    # A binding needs the right to write the queue and to read the exchange.
    ("ingest", "configure", "digits", True),
    ("ingest", "write", "digits.dead", True),
    ("ingest", "read", "millrace.dead", True),
    ("ingest", "read", "digits", False),
    ("ingest", "read", "digits.dead", False),
    ("ingest", "configure", "amq.topic", False),
]


@pytest.mark.parametrize(("user", "right", "name", "is_given"), GATEWAY_AND_BRIDGE_RIGHTS, ids=str)
def test_gateway_and_bridges_read_no_task(user: str, right: str, name: str, *, is_given: bool) -> None:
    definitions = json.loads(_data(render(LOOP), "r-rabbitmq")["definitions.json"])
    (rights,) = [p for p in definitions["permissions"] if p["user"] == user]

    assert is_given == bool(re.search(rights[right], name))


PIPELINE: dict[str, Any] = {
    "name": "nightly",
    "model": "digits",
    "queue": "digits",
    "preprocess": {"function": "team.steps:preprocess", "shards": "team.steps:shards"},
    "train": {"function": "team.steps:train"},
    "evaluate": {"function": "team.steps:evaluate", "metric": "accuracy", "minimumImprovement": 0.01},
    "publish": {"repository": "claim:models/m", "tritons": {"pool": "digits"}, "keepVersions": 3},
    "artifacts": "s3://bucket/artifacts",
    "parameters": {"epochs": 3},
}


@pytest.mark.parametrize(
    ("mode", "service"), [("sidecar", "r-triton-digits-each"), ("service", "r-triton-digits")], ids=str
)
def test_a_pipeline_publishes_to_every_triton_of_the_pool(mode: str, service: str) -> None:
    triton = {"mode": mode, "modelRepository": {"persistentVolumeClaim": {"claimName": "models"}}}
    values = digits_pool(triton=triton) | {"dataClaims": [{"claimName": "models"}], "pipelines": [PIPELINE]}
    manifests = render(values)

    (spec,) = map(PipelineSpec.model_validate, json.loads(_data(manifests, "r-pipelines")["pipelines.json"]))
    assert f"{service}.n.svc.cluster.local" == spec.publish.tritons.dns
    assert (3, 0.01) == (spec.publish.keep_versions, spec.evaluate.minimum_improvement)
    assert "None" == find(manifests, "Service", service)["spec"]["clusterIP"]
    holder = "r-worker" if mode == "sidecar" else "r-triton"
    assert "worker" in _components(find(manifests, "NetworkPolicy", holder)["spec"]["ingress"], 8001)
    assert {"triton", "worker"} <= _components(find(manifests, "NetworkPolicy", "r-worker")["spec"]["egress"], 8001)


def test_pipelines_are_known_to_the_system_pool_alone() -> None:
    manifests = render(digits_pool(triton={"mode": "none"}))

    paths = {
        name: env(_container(manifests, "Deployment", f"r-worker-{name}")).get("MILLRACE_PIPELINES_FILE")
        for name in ("system", "digits")
    }
    assert {"system": "/etc/millrace/pipelines.json", "digits": None} == paths


def test_the_system_pool_may_make_prediction_jobs_and_nothing_else() -> None:
    manifests = render()

    assert [{"apiGroups": ["millrace.dev"], "resources": ["predictionjobs"], "verbs": ["create"]}] == find(
        manifests, "Role", "r-worker-system"
    )["rules"]
    pod = find(manifests, "Deployment", "r-worker-system")["spec"]["template"]["spec"]
    assert ("r-worker-system", True) == (pod["serviceAccountName"], pod["automountServiceAccountToken"])
    without = render({"systemPool": {"submitJobs": False}})
    assert not [m for m in without if m["kind"] == "Role" and "worker" in m["metadata"]["name"]]
    pod = find(without, "Deployment", "r-worker-system")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False


def test_only_the_system_pool_asks_the_kubernetes_api() -> None:
    manifests = render(digits_pool())

    ports = {
        name: {p["port"] for rule in find(manifests, "NetworkPolicy", name)["spec"]["egress"] for p in rule["ports"]}
        for name in ("r-worker-system", "r-worker")
    }
    assert {443, 6443} <= ports["r-worker-system"]
    assert not {443, 6443} & ports["r-worker"]


def test_each_form_of_a_schedule_is_one_that_beat_understands() -> None:
    template = {"metadata": {"name": "score"}, "spec": {"model": {"name": "digits"}}}
    entries = [
        {"name": "own", "everySeconds": 5, "task": "team.tick", "queue": "digits", "kwargs": {"a": 1}},
        {"name": "night", "cron": "0 2 * * *", "timeZone": "Europe/Berlin", "pipeline": {"name": "nightly"}},
        {"name": "score", "everySeconds": 3600, "enabled": False, "jobTemplate": template},
    ]
    values = digits_pool() | {"dataClaims": [{"claimName": "models"}], "pipelines": [PIPELINE]}

    text = _data(render(values | {"beat": {"schedule": entries}}), "r-beat")["schedule.json"]

    read = [ScheduleEntry.model_validate(entry) for entry in json.loads(text)]
    assert ["own", "night", "score"] == [entry.name for entry in read]
    assert ("Europe/Berlin", False) == (read[1].time_zone, read[2].enabled)


def test_modules_with_a_teams_tasks_reach_the_pool_that_has_them() -> None:
    manifests = render(digits_pool(taskModules=["team.tasks", "team.more"], triton={"mode": "none"}))

    assert (
        "team.tasks,team.more" == env(_container(manifests, "Deployment", "r-worker-digits"))["MILLRACE_TASK_MODULES"]
    )
    assert "MILLRACE_TASK_MODULES" not in env(_container(manifests, "Deployment", "r-worker-system"))


def test_a_claim_with_a_size_is_made_and_kept_unless_it_is_said_otherwise() -> None:
    claims = [{"claimName": "mine"}, {"claimName": "kept", "size": "1Gi"}]
    claims += [{"claimName": "gone", "size": "2Gi", "deleteWithRelease": True}]
    made = {m["metadata"]["name"]: m for m in render({"dataClaims": claims}) if m["kind"] == "PersistentVolumeClaim"}

    assert {"kept", "gone"} == made.keys()
    assert "keep" == made["kept"]["metadata"]["annotations"]["helm.sh/resource-policy"]
    assert "annotations" not in made["gone"]["metadata"]


def test_celery_on_the_charts_redis_has_a_database_of_its_own() -> None:
    values = {"broker": {"kind": "redis"}, "rabbitmq": {"enabled": False}}
    manifests = render(values | {"operator": {"connections": {"brokerKind": "redis"}}})

    for name in ("r-worker-system", "r-beat", "r-flower"):
        known = env(_container(manifests, "Deployment", name))
        assert "redis" == known["MILLRACE_BROKER_KIND"]
        assert known["MILLRACE_BROKER_URL"].endswith("@r-redis:6379/1")
        assert known["MILLRACE_REDIS_URL"].endswith("@r-redis:6379/0")
    operator = env(_container(manifests, "Deployment", "r-operator"))
    assert "redis" == operator["MILLRACE_BROKER_KIND"]
    assert find(manifests, "Secret", "r-connections")["stringData"]["broker-url"].endswith("@r-redis:6379/1")
    assert {"type": "Redis"} == find(manifests, "WorkerPool", "system")["spec"]["source"]


def test_workers_on_sqs_send_no_events() -> None:
    source = {"type": "Prometheus", "prometheus": {"waitingQuery": "sum(x)"}}
    values = {
        "broker": {"kind": "sqs", "existingSecret": "my-sqs", "sqsRegion": "eu-central-1"},
        "rabbitmq": {"enabled": False},
        "flower": {"enabled": False},
        "operator": {"enabled": False},
        "systemPool": {"source": source},
    }
    manifests = render(values)

    worker = _container(manifests, "Deployment", "r-worker-system")
    assert "-E" not in worker["args"]
    assert "eu-central-1" == env(worker)["MILLRACE_SQS_REGION"]
    assert source == find(manifests, "WorkerPool", "system")["spec"]["source"]
    assert "-E" in _container(render(), "Deployment", "r-worker-system")["args"]


def test_results_go_to_the_server_that_the_values_name() -> None:
    results = {"kind": "postgresql", "existingSecret": "my-results", "ports": [5432]}
    manifests = render({"resultBackend": results})

    known = env(_container(manifests, "Deployment", "r-worker-system"))
    assert "postgresql" == known["MILLRACE_RESULT_BACKEND_KIND"]
    assert {"secretKeyRef": {"name": "my-results", "key": "result-backend-url"}} == known["MILLRACE_RESULT_BACKEND_URL"]
    assert {"ports": [{"port": 5432}]} in find(manifests, "NetworkPolicy", "r-worker")["spec"]["egress"]


def test_every_container_of_the_loop_has_bounded_memory_locally() -> None:
    manifests = render(local=True)
    names = [("StatefulSet", "r-kafka"), ("Deployment", "r-gateway"), ("Deployment", "r-cache")]

    for kind, name in [*names, ("Deployment", "r-ingest-activity")]:
        for container in containers(find(manifests, kind, name)["spec"]["template"]["spec"]):
            assert "memory" in container["resources"]["limits"], name
