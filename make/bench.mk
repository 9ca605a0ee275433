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
