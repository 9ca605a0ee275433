#!/usr/bin/env bash
# Have a node image for kind and write its name to .local/node-image: the official one where it can be pulled, else one
# built from Debian packages and Go modules (images/node).
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

CONTEXT=$LOCAL_DIR/node/context
LOADER=$CLUSTER_NAME-node-image-loader
IMAGE_PREFIX=node.millrace.dev # as in manifests/kind/built-node.yaml
INPUTS_LABEL=millrace.dev/inputs
HINT="see the log; 'make clean' and a new try start from nothing"

component_tags() {
  local component
  for component in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
    echo "kubernetes $IMAGE_PREFIX/$component:$KUBERNETES_VERSION"
  done
  echo "etcd $IMAGE_PREFIX/etcd:$ETCD_IMAGE_TAG"
  echo "coredns $IMAGE_PREFIX/coredns:$COREDNS_IMAGE_TAG"
  echo "pause $IMAGE_PREFIX/pause:$PAUSE_IMAGE_TAG"
  echo "local-path-provisioner $IMAGE_PREFIX/local-path-provisioner:$LOCAL_PATH_PROVISIONER_VERSION"
}

is_current() {
  [[ $(docker image inspect --format "{{index .Config.Labels \"$INPUTS_LABEL\"}}" "$BUILT_NODE_IMAGE" 2>/dev/null) == "$1" ]]
}

fill_context() {
  rm -rf "$CONTEXT"
  mkdir -p "$CONTEXT"
  cp -a "$PROJECT_ROOT/images/node/Dockerfile" "$PROJECT_ROOT/images/node/rootfs" "$CONTEXT/"
  cp -al "$LOCAL_DIR/node/bin" "$CONTEXT/bin" # links: 300 MB need not be written twice
}

build_target() { # TARGET TAG
  docker build --network host --target "$1" --tag "$2" --label "$MADE_BY_LABEL" \
    --build-arg "KUBERNETES_VERSION=$KUBERNETES_VERSION" \
    --build-arg "LOCAL_PATH_PROVISIONER_VERSION=$LOCAL_PATH_PROVISIONER_VERSION" "$CONTEXT"
}

build_images() {
  local target tag
  while read -r target tag; do build_target "$target" "$tag"; done < <(component_tags)
  build_target node "$IMAGE_PREFIX/node-without-images"
}

# containerd must run to take images in, which it cannot during a build; hence a container and a commit. The node
# unpacks them when it first starts, because an overlay cannot be unpacked on an overlay.
load_images_into_node() { # FINGERPRINT
  local tags
  mapfile -t tags < <(component_tags | cut -d ' ' -f 2)
  docker rm --force "$LOADER" >/dev/null 2>&1 || true
  docker run --detach --privileged --name "$LOADER" --entrypoint containerd "$IMAGE_PREFIX/node-without-images"
  wait_for 30 docker exec "$LOADER" ctr version
  docker save "${tags[@]}" |
    docker exec --interactive "$LOADER" ctr --namespace k8s.io images import --all-platforms --no-unpack -
  docker exec "$LOADER" ctr --namespace k8s.io images ls -q
  docker stop "$LOADER"
  docker commit --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' --change 'CMD []' \
    --change "LABEL $INPUTS_LABEL=$1" "$LOADER" "$BUILT_NODE_IMAGE"
  docker rm "$LOADER"
  docker image rm "${tags[@]}" "$IMAGE_PREFIX/node-without-images"
}

step "Node image"
if image_exists "$OFFICIAL_NODE_IMAGE" || pull_image "$OFFICIAL_NODE_IMAGE"; then
  note "$OFFICIAL_NODE_IMAGE is here"
  echo "$OFFICIAL_NODE_IMAGE" >"$LOCAL_DIR/node-image"
  exit
fi
fingerprint=$(content_hash images/node local/versions.sh local/node-image.sh)
if is_current "$fingerprint"; then
  skip "$BUILT_NODE_IMAGE is current"
else
  note "the official node image cannot be pulled: building one from packages"
  "$PROJECT_ROOT/local/base-images.sh"
  "$PROJECT_ROOT/images/node/build-binaries.sh"
  step "Node image from the binaries"
  fill_context
  with_progress "build node image" "$HINT" build_images
  with_progress "load node image" "$HINT" load_images_into_node "$fingerprint"
fi
echo "$BUILT_NODE_IMAGE" >"$LOCAL_DIR/node-image"
