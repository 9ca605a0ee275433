"""Drive PredictionJobs to their end by looking: each second, all of them, from what the cluster and the ledger say."""
