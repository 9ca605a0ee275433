"""Celery workers of Millrace: plan a job, predict its shards on Triton, finalize it."""
