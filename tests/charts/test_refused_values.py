from typing import Any

import pytest
from rendered_charts import digits_pool, refusal

pytestmark = pytest.mark.charts

Values = dict[str, Any]


def _stream(**overrides: object) -> Values:
    """Values with one stream, to the queue of the one pool."""
    stream: Values = {"name": "s", "topic": "t", "task": "a.b", "queue": "digits"}
    return digits_pool() | {"kafka": {"enabled": True}, "streams": [stream | overrides]}


def _pipeline(**overrides: object) -> Values:
    """Values with one pipeline on the one pool."""
    pipeline: Values = {
        "name": "p",
        "model": "m",
        "queue": "digits",
        "preprocess": {"function": "team.steps:preprocess"},
        "train": {"function": "team.steps:train"},
        "evaluate": {"function": "team.steps:evaluate", "metric": "accuracy"},
        "publish": {"repository": "claim:models/m", "tritons": {"pool": "digits"}},
        "artifacts": "claim:models/artifacts",
    }
    return digits_pool() | {"dataClaims": [{"claimName": "models"}], "pipelines": [pipeline | overrides]}


def _job_schedule(**overrides: object) -> Values:
    template = {"metadata": {"name": "score"}, "spec": {}}
    entry: Values = {"name": "n", "everySeconds": 3600, "jobTemplate": template}
    return entry | overrides


ON_SQS: Values = {
    "broker": {"kind": "sqs", "existingSecret": "my-sqs"},
    "rabbitmq": {"enabled": False},
    "flower": {"enabled": False},
    "operator": {"enabled": False},
}

BY_SCHEMA: dict[str, tuple[Values, str]] = {
    "unknown top-level key": ({"rabitmq": {}}, "rabitmq"),
    "unknown nested key": ({"redis": {"maxmemory": "1gb"}}, "maxmemory"),
    "unknown key of the operator": ({"operator": {"replicas": 2}}, "replicas"),
    "negative minReplicas": (digits_pool(minReplicas=-1), "minReplicas"),
    "absurd maxReplicas": (digits_pool(maxReplicas=1_000_000), "maxReplicas"),
    "object store without a scheme": ({"objectStore": {"endpointUrl": "s3.example:9000"}}, "endpointUrl"),
    "keys in the address of the object store": (
        {"objectStore": {"endpointUrl": "http://key:secret@s3"}},
        "endpointUrl",
    ),
    "object store behind no port": ({"objectStore": {"ports": []}}, "ports"),
    "port that does not exist": ({"httpInputs": {"ports": [70000]}}, "ports"),
    "zero concurrency": (digits_pool(concurrency=0), "concurrency"),
    "fraction of a replica": (digits_pool(maxReplicas=1.5), "maxReplicas"),
    "pool without a name": ({"workerPools": [{"queue": "q"}]}, "name"),
    "pool named like the system pool": (digits_pool(name="system"), "name"),
    "pool with a name that no object may have": (digits_pool(name="Digits!"), "name"),
    "queue of RabbitMQ's own": (digits_pool(queue="amq.gen"), "queue"),
    "queue that looks like Celery's": (digits_pool(queue="celery_delayed_3"), "queue"),
    "queue that looks like a dead-letter queue": (digits_pool(queue="digits.dead"), "queue"),
    "mode that does not exist": (digits_pool(mode="Off"), "mode"),
    "image tag latest": ({"redis": {"image": {"tag": "latest"}}}, "tag"),
    "digest that is none": ({"redis": {"image": {"digest": "abc"}}}, "digest"),
    "two sources of models": (
        digits_pool(triton={"mode": "sidecar", "modelRepository": {"uri": "s3://a", "configMap": {"name": "b"}}}),
        "modelRepository",
    ),
    "model path that leaves the claim": (
        digits_pool(triton={"modelRepository": {"persistentVolumeClaim": {"claimName": "c", "subPath": "../up"}}}),
        "subPath",
    ),
    "system pool that may be empty": ({"systemPool": {"minReplicas": 0}}, "minReplicas"),
    "system pool with a Triton": ({"systemPool": {"triton": {"mode": "sidecar"}}}, "triton"),
    "schedule without a time": ({"beat": {"schedule": [{"name": "n", "task": "t", "queue": "q"}]}}, "schedule"),
    "schedule with two times": (
        {"beat": {"schedule": [{"name": "n", "task": "t", "queue": "q", "cron": "0 2 * * *", "everySeconds": 5}]}},
        "schedule",
    ),
    "schedule of a pool without a time": (digits_pool(schedules=[{"minReplicas": 1}]), "cron"),
    "schedule of a pool with four fields": (digits_pool(schedules=[{"cron": "0 8 * *", "minReplicas": 1}]), "cron"),
    "weight of nothing": (digits_pool(priority=0), "priority"),
    "credentials in the URL of Triton's metrics": (
        digits_pool(triton={"mode": "external", "url": "t:8001", "metricsUrl": "http://me:secret@t:8002"}),
        "metricsUrl",
    ),
    "credentials in the URL of Prometheus": (
        {"operator": {"connections": {"prometheusUrl": "http://me:secret@prometheus:9090"}}},
        "prometheusUrl",
    ),
    "budget of something else": ({"capacityBudgets": [{"name": "b", "capacity": 1, "unit": "TPU"}]}, "unit"),
    "schedule with two things to do": (
        {"beat": {"schedule": [{"name": "n", "everySeconds": 60, "task": "t", "pipeline": {"name": "p"}}]}},
        "schedule",
    ),
    "time zone of an interval": (
        {"beat": {"schedule": [{"name": "n", "everySeconds": 60, "timeZone": "UTC", "task": "t", "queue": "system"}]}},
        "timeZone",
    ),
    "topic that Kafka would refuse": (_stream(topic="a topic"), "topic"),
    "option of a bridge that does not exist": (_stream(batchSize=5), "batchSize"),
    "credentials in the addresses of Kafka": ({"externalKafka": {"bootstrapServers": "me:x@kafka:9092"}}, "bootstrap"),
    "task module that is a path": (digits_pool(taskModules=["team/tasks.py"]), "taskModules"),
    "pipeline with two lists of Tritons": (
        _pipeline(publish={"repository": "s3://m/x", "tritons": {"urls": ["t:8001"], "pool": "digits"}}),
        "tritons",
    ),
    "pipeline that publishes to nowhere": (_pipeline(publish={"repository": "/models", "tritons": {}}), "repository"),
    "cron with four fields": (
        {"beat": {"schedule": [{"name": "n", "task": "t", "queue": "q", "cron": "0 2 * *"}]}},
        "cron",
    ),
    "credentials in a metrics URL": (
        {"operator": {"connections": {"brokerMetricsUrls": ["http://me:secret@host:15692"]}}},
        "brokerMetricsUrls",
    ),
}

BY_CHECK: dict[str, tuple[Values, str]] = {
    "stream without a Kafka": (
        _stream() | {"kafka": {"enabled": False}},
        "set kafka.enabled to true, or externalKafka.bootstrapServers",
    ),
    "stream to a queue of nobody": (_stream(queue="nowhere"), 'goes to the queue "nowhere", which no worker pool has'),
    "stream that stops before it begins": (
        _stream(highWaterMessages=10),
        "lowWaterMessages (500) must be less than highWaterMessages (10)",
    ),
    "stream whose dead letters come in again": (_stream(deadLetterTopic="t"), "deadLetterTopic must be another topic"),
    "two Kafkas": (
        {"kafka": {"enabled": True}, "externalKafka": {"bootstrapServers": "a:9092"}},
        "kafka.enabled and externalKafka.bootstrapServers are two Kafkas",
    ),
    "Kafka that asks for a password that nobody has": (
        {"externalKafka": {"bootstrapServers": "a:9092", "securityProtocol": "SASL_SSL"}},
        "set externalKafka.existingSecret to a Secret with the keys sasl-username and sasl-password",
    ),
    "model on a queue of nobody": (
        {"gateway": {"enabled": True, "models": [{"name": "m", "queue": "nowhere"}]}},
        '"m" goes to the queue "nowhere", which no worker pool has: system',
    ),
    "two models of one name": (
        {"gateway": {"enabled": True, "models": [{"name": "m", "queue": "system"}, {"name": "m", "queue": "system"}]}},
        'gateway.models: two have the name "m"',
    ),
    "gateway that is open to the world": (
        {"gateway": {"enabled": True, "auth": {"mode": "none"}, "ingress": {"enabled": True, "host": "g.example"}}},
        "set gateway.auth.mode to apiKeys or oidc",
    ),
    "tokens of nobody": (
        {"gateway": {"enabled": True, "auth": {"mode": "oidc"}}},
        "set gateway.auth.oidc.issuer and gateway.auth.oidc.audience",
    ),
    "route without a Gateway": (
        {"gateway": {"enabled": True, "httpRoute": {"enabled": True}}},
        "set gateway.httpRoute.parentRefs",
    ),
    "pipeline on a claim that workers do not mount": (
        _pipeline() | {"dataClaims": []},
        'is on the claim "models", which workers do not mount: add it to dataClaims',
    ),
    "artefacts among the models": (
        _pipeline(artifacts="claim:models/m/artifacts"),
        "artifacts (claim:models/m/artifacts) must not be inside of publish.repository",
    ),
    "pipeline on a queue of nobody": (_pipeline(queue="nowhere"), 'no worker pool has the queue "nowhere"'),
    "pipeline that publishes to a pool without a Triton": (
        _pipeline(publish={"repository": "claim:models/m", "tritons": {"pool": "system"}}),
        "which is no worker pool with triton.mode sidecar or service",
    ),
    "pipeline whose step outlasts the broker's patience": (
        _pipeline(stepTimeoutSeconds=3600),
        "rabbitmq.consumerTimeoutSeconds (1800) must be more than its longest step may take (3900",
    ),
    "schedule of a pipeline that does not exist": (
        {"beat": {"schedule": [{"name": "n", "everySeconds": 60, "pipeline": {"name": "p"}}]}},
        'there is no pipeline "p" in pipelines',
    ),
    "two schedules of one name": (
        {"beat": {"schedule": [{"name": "n", "everySeconds": 9, "task": "t", "queue": "q"}] * 2}},
        'two entries have the name "n"',
    ),
    "scheduled task for no queue": (
        {"beat": {"schedule": [{"name": "n", "everySeconds": 9, "task": "t"}]}},
        '"n" needs the queue that its task goes to',
    ),
    "jobs more often than they have names": (
        {"beat": {"schedule": [_job_schedule(everySeconds=30)]}},
        "set everySeconds to at least 60",
    ),
    "jobs that the system pool may not make": (
        {"beat": {"schedule": [_job_schedule()]}, "systemPool": {"submitJobs": False}},
        "set systemPool.submitJobs to true",
    ),
    "RabbitMQ that nobody would use": ({"broker": {"kind": "redis"}}, "set rabbitmq.enabled to false"),
    "operator on another broker": (
        {"broker": {"kind": "redis"}, "rabbitmq": {"enabled": False}},
        "set operator.connections.brokerKind to redis",
    ),
    "gateway without AMQP": (
        ON_SQS | {"gateway": {"enabled": True}},
        "the gateway publishes by AMQP: set gateway.enabled to false",
    ),
    "bridges without AMQP": (ON_SQS | _stream(queue="system"), "bridges publish by AMQP: empty streams"),
    "Flower without events": (ON_SQS | {"flower": {"enabled": True}}, "so Flower would show nothing"),
    "queue that nobody can measure": (ON_SQS, 'worker pool "system": SQS does not say exactly how long a queue is'),
    "results in a database that is not named": (
        {"resultBackend": {"kind": "mongodb"}},
        "set resultBackend.existingSecret to a Secret with the key result-backend-url",
    ),
    "pipelines without chords": (_pipeline() | {"resultBackend": {"kind": "rpc"}}, "rpc has no chords"),
    "results in a file of many pods": (
        {"resultBackend": {"kind": "sqlite", "existingSecret": "s"}},
        "set systemPool.maxReplicas to 1 and empty workerPools",
    ),
    "broker that gives a running task away": (
        {
            "broker": {"kind": "redis", "visibilityTimeoutSeconds": 600},
            "rabbitmq": {"enabled": False},
            "operator": {"connections": {"brokerKind": "redis"}},
        },
        "broker.visibilityTimeoutSeconds must be more than worker.taskTimeLimitSeconds",
    ),
    "more replicas at least than at most": (
        digits_pool(minReplicas=5, maxReplicas=2),
        'worker pool "digits": minReplicas (5) must not exceed maxReplicas (2)',
    ),
    "two pools of one name": ({"workerPools": [{"name": "a"}, {"name": "a"}]}, 'two worker pools have the name "a"'),
    "two pools on one queue": (
        {"workerPools": [{"name": "a", "queue": "q"}, {"name": "b", "queue": "q"}]},
        'the worker pools "a" and "b" share the queue "q"',
    ),
    "pool on the system queue": (digits_pool(queue="system"), 'share the queue "system"'),
    "Triton without models": (
        digits_pool(triton={"mode": "sidecar"}),
        "set exactly one of triton.modelRepository.persistentVolumeClaim, .configMap and .uri",
    ),
    "external Triton without an address": (digits_pool(triton={"mode": "external"}), "needs triton.url"),
    "address for a Triton that is not external": (
        digits_pool(triton={"mode": "none", "url": "host:8001"}),
        "triton.url is only for triton.mode external",
    ),
    "fallback above the maximum": (
        digits_pool(maxReplicas=2, fallback={"replicas": 3}),
        "fallback.replicas (3) must not exceed maxReplicas (2)",
    ),
    "fallback without a number": (digits_pool(fallback={"failureThreshold": 3}), "fallback needs replicas"),
    "schedule above the maximum": (
        digits_pool(maxReplicas=2, schedules=[{"cron": "0 8 * * *", "minReplicas": 3}]),
        "schedules[].minReplicas (3) must not exceed maxReplicas (2)",
    ),
    "two budgets of one name": (
        {"capacityBudgets": [{"name": "b", "capacity": 1}, {"name": "b", "capacity": 2}]},
        'two capacity budgets have the name "b"',
    ),
    "replica that is larger than the budget": (
        digits_pool(budgetRef={"name": "b", "unitsPerReplica": 3})
        | {"capacityBudgets": [{"name": "b", "capacity": 2}]},
        'one replica takes 3 units, and the capacity budget "b" has 2',
    ),
    "floors that are larger than the budget": (
        {
            "workerPools": [{"name": n, "minReplicas": 2, "budgetRef": {"name": "b"}} for n in ("x", "y")],
            "capacityBudgets": [{"name": "b", "capacity": 3}],
        },
        'the capacity budget "b" has 3 units, and minReplicas of its pools take 4',
    ),
    "GPUs that a replica does not have": (
        digits_pool(budgetRef={"name": "b"}) | {"capacityBudgets": [{"name": "b", "capacity": 2, "unit": "GPU"}]},
        "counts GPUs, and a replica of the pool has none: set gpu.count",
    ),
    "metrics of a Triton that the chart knows": (
        digits_pool(triton={"mode": "none", "metricsUrl": "http://t:8002/metrics"}),
        "triton.metricsUrl is only for triton.mode external",
    ),
    "monitors that a network policy shuts out": (
        {"serviceMonitor": {"enabled": True}},
        "set networkPolicy.metricsFrom to the peers of your Prometheus",
    ),
    "monitor of the operator that a network policy shuts out": (
        {"serviceMonitor": {"enabled": True}, "networkPolicy": {"metricsFrom": [{"podSelector": {}}]}},
        "set operator.networkPolicy.metricsFrom",
    ),
    "grace shorter than a task": (
        digits_pool(terminationGracePeriodSeconds=30),
        "terminationGracePeriodSeconds (30) must not be less than worker.taskTimeLimitSeconds (900)",
    ),
    "soft limit after the hard one": (
        {"worker": {"taskSoftTimeLimitSeconds": 900}},
        "worker.taskSoftTimeLimitSeconds must be less than worker.taskTimeLimitSeconds",
    ),
    "consumer timeout within a task": (
        {"rabbitmq": {"consumerTimeoutSeconds": 600}},
        "rabbitmq.consumerTimeoutSeconds must be more than worker.taskTimeLimitSeconds",
    ),
    "Flower on an ingress without a login": (
        {"flower": {"auth": {"enabled": False}, "ingress": {"enabled": True, "host": "flower.example"}}},
        "set flower.auth.enabled to true",
    ),
    "ingress without a name": ({"flower": {"ingress": {"enabled": True}}}, "set flower.ingress.host"),
    "no broker at all": ({"rabbitmq": {"enabled": False}}, "set externalBroker.existingSecret"),
    "no Redis at all": ({"redis": {"enabled": False}}, "set externalRedis.existingSecret"),
    "broker passwords that the operator cannot know": (
        {"rabbitmq": {"auth": {"existingSecret": "mine"}}},
        "set operator.connections.brokerUrlSecretRef",
    ),
    "Redis password that the operator cannot know": (
        {"redis": {"auth": {"existingSecret": "mine"}}},
        "set operator.connections.redisUrlSecretRef",
    ),
    "test of a pool that does not exist": (
        {"tests": {"prediction": {"workerPool": "digits", "model": "digits", "record": {"x": [1]}}}},
        "none of the pools: system",
    ),
    "test without a record": (
        digits_pool() | {"tests": {"prediction": {"workerPool": "digits", "model": "digits"}}},
        "set tests.prediction.model and tests.prediction.record",
    ),
    "namespaces of a cluster-wide operator": (
        {"operator": {"rbac": {"scope": "cluster"}, "watchNamespaces": ["a"]}},
        "watchNamespaces has no meaning",
    ),
}


@pytest.mark.parametrize("case", BY_SCHEMA)
def test_schema_refuses_and_names_the_key(case: str) -> None:
    values, key = BY_SCHEMA[case]

    assert key in refusal(values)


@pytest.mark.parametrize("case", BY_CHECK)
def test_impossible_combination_is_refused_with_what_to_set(case: str) -> None:
    values, sentence = BY_CHECK[case]

    assert sentence in refusal(values).replace('\\"', '"')
