"""The Kubernetes resources of Millrace and the labels on what belongs to them."""

from typing import Final

GROUP: Final = "millrace.dev"
VERSION: Final = "v1alpha1"

WORKER_POOLS: Final = "workerpools"
PREDICTION_JOBS: Final = "predictionjobs"

POOL_LABEL: Final = "millrace.dev/pool"
"""On Deployments and pods of a pool: the name of its WorkerPool."""

POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
