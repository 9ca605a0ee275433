"""A cache of predictions that is waited for, so that a slow machine computes nothing twice."""


def patient(redis_url: str) -> str:
    """Answer the address of the same Redis, for tests that count what is computed: without this it has 250 ms."""
    return f"{redis_url}?socket_timeout=30&socket_connect_timeout=30"
