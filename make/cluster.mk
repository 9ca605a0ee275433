# The local Kubernetes cluster, from a bare machine on. Every step is skipped when its result exists.

# It takes a quarter of two cores even when nothing happens: in a recipe, before what measures or computes much.
CLUSTER_STANDS_STILL := if docker pause millrace-control-plane >/dev/null 2>&1; then \
  trap 'docker unpause millrace-control-plane >/dev/null' EXIT; \
  echo '    the local cluster stands still meanwhile'; fi;

.PHONY: docker
docker: ## Have a Docker that answers (installs and starts it on Debian as root)
	@local/docker.sh

.PHONY: tools
tools: ## Have kind, helm and kubectl in versions that suit
	@local/tools.sh

.PHONY: base-images
base-images: docker ## Have the Debian images that all other images start from
	@local/base-images.sh

.PHONY: cluster
cluster: docker tools ## Have the local Kubernetes cluster up
	@local/node-image.sh
	@local/kind-cluster.sh

.PHONY: clean-cluster
clean-cluster: ## Remove the local cluster, keep images and tools
	@local/clean.sh cluster

.PHONY: clean
clean: ## Remove the cluster, the images and .local, all that was made here
	@local/clean.sh all
