# The demonstration: everything from nothing, one real job, and where to look at it.
.PHONY: demo
demo: setup ## Cluster, images, charts, a real job with live progress, how its pool scaled, and the addresses
	@local/demo.sh

.PHONY: credentials
credentials: ## Print users and passwords of Flower and RabbitMQ's page
	@local/credentials.sh
