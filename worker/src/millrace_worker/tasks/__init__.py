"""What workers do: plan a job, predict its shards, finalize it. How Celery calls it: `millrace_worker.delivery`."""
