"""PredictionJobs measured on real servers: speed against Triton itself, kills, planning, fairness, and what is told."""
