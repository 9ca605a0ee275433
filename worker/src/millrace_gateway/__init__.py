"""The HTTP front of Millrace: accepts predictions, gathers them into tasks, answers from cache, waits for results."""
