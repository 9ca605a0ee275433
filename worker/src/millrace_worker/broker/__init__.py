"""Which broker carries the tasks: what each kind can do (`kinds`), and what Celery is told of it (`configuration`).

The ledger, the answers and the schedule stay in Redis whatever carries the tasks.
"""
