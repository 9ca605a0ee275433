# The demonstration: everything from nothing, one real job, a recommender that learns, and where to look at it.
.PHONY: demo
demo: setup ## Cluster, images, charts, a real job, a recommender that learns while you watch, and the addresses
	@local/demo.sh

.PHONY: demo-million
demo-million: setup ## A job of a million records on the demonstration's cluster, with its progress and its report
	.venv/bin/python -m millrace_demo.million

.PHONY: credentials
credentials: ## Print users and passwords of the pages, and the gateway's API keys
	@local/credentials.sh
