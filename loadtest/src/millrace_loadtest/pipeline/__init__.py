"""Benchmarks of the loop: Kafka in, RabbitMQ and Celery through, answers out."""
