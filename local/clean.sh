#!/usr/bin/env bash
# Remove what this project made on this machine; other people's clusters and images, and Docker itself, stay.
#
#   local/clean.sh cluster   the kind cluster
#   local/clean.sh all       the cluster, the images, and .local/ with the tools in it
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

remove_cluster() {
  step "Remove the cluster $CLUSTER_NAME"
  if ! docker container inspect "$NODE_CONTAINER" >/dev/null 2>&1; then
    skip "there is none"
  else
    # Without kind: its tool may be gone, and a node is one container with its anonymous volume.
    docker rm --force --volumes "$NODE_CONTAINER" >/dev/null
    note "removed"
  fi
  rm -f "$KUBECONFIG"
}

# All kind clusters share the network; it goes when no container, running or stopped, is of one of them.
remove_network() {
  if [[ -n $(docker ps --all --quiet --filter label=io.x-k8s.kind.cluster) ]]; then return; fi
  if docker network rm kind >/dev/null 2>&1; then note "removed the network of kind"; fi
}

remove_containers() {
  local containers
  mapfile -t containers < <(docker ps --all --quiet --filter "label=$MADE_BY_LABEL")
  ((${#containers[@]} == 0)) || docker rm --force --volumes "${containers[@]}" >/dev/null
}

our_images() {
  docker image ls --filter "label=$MADE_BY_LABEL" --format '{{.Repository}}:{{.Tag}}'
  docker image ls --filter 'reference=millrace/*' --format '{{.Repository}}:{{.Tag}}'
  docker image ls --filter 'reference=node.millrace.dev/*' --format '{{.Repository}}:{{.Tag}}'
  if [[ -f $PULLED_IMAGES ]]; then cat "$PULLED_IMAGES"; fi
}

remove_images() {
  local image
  step "Remove the images"
  while read -r image; do
    if docker image rm --force "$image" >/dev/null 2>&1; then note "$image"; fi
  done < <(our_images | grep -v '<none>' | sort -u)
  docker image prune --force --filter "label=$MADE_BY_LABEL" >/dev/null
}

remove_local_folder() {
  step "Remove .local"
  rm -rf "$LOCAL_DIR"
}

docker_answers() { command -v docker >/dev/null && timeout 20 docker info >/dev/null 2>&1; }

what=${1:?say cluster or all}
if docker_answers; then
  remove_cluster
  remove_network
  if [[ $what == all ]]; then
    remove_containers
    remove_images
  fi
else
  step "Docker does not answer: its cluster and images cannot be removed"
  note "start Docker ('make docker') and run this again, if it held any"
fi
if [[ $what == all ]]; then remove_local_folder; fi
