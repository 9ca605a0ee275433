# The demonstration: everything from nothing, one real job, a recommender that learns, and where to look at it.
.PHONY: demo
demo: setup ## Cluster, images, charts, a real job, a recommender that learns while you watch, and the addresses
	@local/demo.sh

.PHONY: credentials
credentials: ## Print users and passwords of the pages, and the gateway's API keys
	@local/credentials.sh
