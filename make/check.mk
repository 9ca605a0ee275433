# The inner loop (no cluster, no containers) and the whole test run.
PYTEST := .venv/bin/pytest
# A file each at a time.
IN_PARALLEL := -n 2 --dist loadfile
# These wait for servers more than they compute. The files are in their order of length: tests/integration/conftest.py.
WAITING_IN_PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder

# A test run starts hundreds of Pythons. Where this is set, each of them compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup
setup: ## Install uv and the Python workspace into .local and .venv
	@local/python.sh

.PHONY: lint
lint: setup ## Lint, formatting, types and import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

.PHONY: format
format: setup ## Format the code and fix what ruff can fix
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

.PHONY: test-unit
test-unit: setup ## Unit tests: no network, no containers, about a minute
	@local/test-needs.sh
	$(PYTEST) $(IN_PARALLEL) tests/unit

.PHONY: test-integration
test-integration: setup tools docker build-images ## Against real RabbitMQ, Redis, Triton, Kafka and others in containers
	@local/test-needs.sh
	@local/java-servers.sh all
	$(CLUSTER_STANDS_STILL) \
	$(PYTEST) $(WAITING_IN_PARALLEL) tests/integration

.PHONY: test-e2e
test-e2e: setup cluster build-images load-images ## On the kind cluster: install, jobs, scaling, faults, uninstall
	$(PYTEST) tests/e2e

.PHONY: test
test: ## Everything that CI checks
	@local/test.sh
