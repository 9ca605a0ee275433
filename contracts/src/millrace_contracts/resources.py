"""The Kubernetes resources of Millrace and the labels on what belongs to them."""

from typing import Final

GROUP: Final = "millrace.dev"
VERSION: Final = "v1alpha1"

WORKER_POOLS: Final = "workerpools"
PREDICTION_JOBS: Final = "predictionjobs"
CAPACITY_BUDGETS: Final = "capacitybudgets"
MODEL_VERSIONS: Final = "modelversions"

POOL_LABEL: Final = "millrace.dev/pool"
"""On Deployments and pods of a pool: the name of its WorkerPool."""

POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"

DRAINING_SINCE: Final = "millrace.dev/draining-since"
"""Annotation of a pod that takes no more tasks and is to go: when that began (RFC 3339). Outlives the operator."""
