"""The border to kopf: watches, start and stop."""
