"""From tasks to replicas."""


def replicas_for_tasks(tasks: int, *, concurrency: int) -> int:
    """Count the pods that give each task a slot of its own at once. Never derived from the current replicas."""
    return -(-tasks // concurrency)
