"""What is sent by the clock: `moments` computes when, `store` keeps it in Redis, `outgoing` says what, `beat` sends it.

Only `beat` knows Celery, so whoever lists or changes schedules need not.
"""
