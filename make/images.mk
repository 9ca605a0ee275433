# The images that the charts run. IMAGES="worker operator" limits a target to some of them.
.PHONY: build-images
build-images: ## Build (or pull) the images that the charts run
	@local/images.sh build $(IMAGES)

.PHONY: load-images
load-images: ## Load the images into the local cluster
	@local/images.sh load $(IMAGES)
