# Benchmarks: figures against the thresholds in loadtest/scenarios; never part of `make test`.

.PHONY: bench-decision
bench-decision: setup ## What one scaling decision costs, against its threshold
	.venv/bin/python -m millrace_loadtest.decision \
	  --thresholds loadtest/scenarios/decision/thresholds.yaml --report loadtest/scenarios/decision/report.json

TRACE ?=
SCENARIOS ?=

.PHONY: bench-scaling
bench-scaling: setup ## Scaling policies in simulation against the thresholds; TRACE=path adds the real trace, SCENARIOS="step burst" names some
	.venv/bin/python -m millrace_loadtest.simulator.bench $(if $(TRACE),--trace $(TRACE)) $(SCENARIOS)

.PHONY: bench-keda
bench-keda: setup cluster build-images load-images ## The same load on the cluster, once with Millrace and once with KEDA (AGAIN=1 forgets what was run)
	trap 'local/keda.sh uninstall' EXIT; local/keda.sh install; \
	.venv/bin/python -m millrace_loadtest.live.versus_keda $(if $(AGAIN),--again) \
	  --thresholds loadtest/scenarios/live-against-keda/thresholds.yaml \
	  --report loadtest/scenarios/live-against-keda/report.json --picture docs/pictures/burst-against-keda.png

.PHONY: bench-live
bench-live: setup cluster build-images load-images ## A hundred real scale-downs under long tasks, and an operator that goes blind
	.venv/bin/python -m millrace_loadtest.live.scale_downs \
	  --thresholds loadtest/scenarios/live-scale-downs/thresholds.yaml \
	  --report loadtest/scenarios/live-scale-downs/report.json

.PHONY: bench-cost
bench-cost: setup cluster build-images load-images ## What the operator costs with 1,000 pools on the cluster (SIZES=1000 leaves the smaller ones out)
	.venv/bin/python -m millrace_loadtest.live.cost $(if $(SIZES),--sizes $(SIZES)) \
	  --thresholds loadtest/scenarios/live-cost/thresholds.yaml --report loadtest/scenarios/live-cost/report.json

PARTS ?=

.PHONY: bench-pipeline
bench-pipeline: setup docker build-images ## The loop: gateway, ingest bridge, recommender, outages (PARTS="gateway ingest" names some)
	$(CLUSTER_STANDS_STILL) \
	.venv/bin/python -m millrace_loadtest.pipeline.bench $(PARTS) \
	  --thresholds loadtest/scenarios/pipeline/thresholds.yaml --report loadtest/scenarios/pipeline/report.json

JOBS_BENCH := .venv/bin/python -m millrace_loadtest.jobs.bench \
  --thresholds loadtest/scenarios/jobs/thresholds.yaml --report loadtest/scenarios/jobs/report.json

.PHONY: bench-jobs
bench-jobs: setup docker build-images ## PredictionJobs: speed, scaling, kills, planning, fairness, estimates, then bench-jobs-cluster (PARTS="kills planning" names some)
	$(CLUSTER_STANDS_STILL) \
	$(JOBS_BENCH) $(or $(PARTS),local)
	$(if $(PARTS),,$(MAKE) bench-jobs-cluster)

.PHONY: bench-jobs-cluster
bench-jobs-cluster: setup ## What a job of one record costs on the cluster of `make demo`, and ten thousand jobs
	$(JOBS_BENCH) cluster
