"""Programs that run in pods of the benchmark: each stands alone, because a pod gets it as one file of a ConfigMap."""
