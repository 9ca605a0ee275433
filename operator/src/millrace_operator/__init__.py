"""Kubernetes operator of Millrace: scales worker pools and drives PredictionJobs."""
