# Every target is a verb. `make help` lists them; make/*.mk holds them by topic.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.local/bin:$(PATH)
export KUBECONFIG := $(CURDIR)/.local/kubeconfig

include $(wildcard make/*.mk)

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
