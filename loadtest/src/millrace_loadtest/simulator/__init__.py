"""Scaling policies played against a load, second by second: a model of broker, pods and autoscalers, no cluster."""
