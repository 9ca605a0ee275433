"""Benchmarks on the kind cluster: real RabbitMQ, real Celery workers, and KEDA itself as the peer."""
