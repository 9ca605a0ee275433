##@ Charts

CHARTS := millrace-operator millrace
HELM ?= $(if $(wildcard .local/bin/helm),.local/bin/helm,helm)

.PHONY: lint-charts
lint-charts: tools ## Render both charts with their defaults and the local values, and let helm look for mistakes.
	$(HELM) lint --strict charts/millrace-operator
	$(HELM) lint --strict charts/millrace
	$(HELM) lint --strict charts/millrace --values local/values.yaml

.PHONY: test-charts
test-charts: setup tools ## Test what the charts render, what their schemas refuse, and that generated files are current.
	.venv/bin/python -m pytest tests/charts -m "charts and not e2e"

.PHONY: generate-charts
generate-charts: generate-chart-crds generate-chart-schemas ## Make every generated file of the charts anew.

.PHONY: generate-chart-crds
generate-chart-crds: ## Copy the resource definitions into the operator's chart; manifests/crds is the one source.
	rm -f charts/millrace-operator/crds/*.yaml
	cp manifests/crds/*.yaml charts/millrace-operator/crds/

.PHONY: generate-chart-schemas
generate-chart-schemas: ## Write values.schema.json from values.schema.yaml, which people edit.
	.venv/bin/python charts/write_schemas.py

.PHONY: generate-docs
generate-docs: ## Write the tables of docs/predictionjob.md from the resource definition.
	.venv/bin/python docs/write_fields.py
