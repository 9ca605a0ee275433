#!/usr/bin/env bash
# Make the images that the charts run exist here, and load them into the cluster's node.
#
#   local/images.sh build [NAME...]   build, or pull where a registry is reachable; all of them without names
#   local/images.sh load  [NAME...]   load those into the kind cluster that its node does not have yet; all that pods use
#   local/images.sh list              names, sizes and whether each is current
#
# An image carries the fingerprint of what it was made from as a label, so an unchanged one costs one look-up.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PYTHON_IMAGES=(worker operator gateway ingest recommender)
CLUSTER_IMAGES=("${PYTHON_IMAGES[@]}" triton rabbitmq redis kafka prometheus)
ALL_IMAGES=("${CLUSTER_IMAGES[@]}" sql) # sql is for tests alone
INPUTS_LABEL=millrace.dev/inputs
NODE_LABEL=millrace.dev/source-id # on the node's copy: the id that the image has here

# Local values name these, whether an image was pulled or built.
image_tag() { # NAME
  case $1 in
    rabbitmq) echo "millrace/rabbitmq:4.3.6" ;;
    redis) echo "millrace/redis:8" ;;
    kafka) echo "millrace/kafka:4.3.1" ;;
    *) echo "millrace/$1:dev" ;;
  esac
}

# The official image that does the same, in the version that Debian has, so that both worlds behave alike.
official_image() { # NAME
  case $1 in
    rabbitmq) echo "rabbitmq:4.3.6-management" ;;
    redis) echo "redis:8.0.2" ;;
    kafka) echo "apache/kafka:4.3.1" ;;
    prometheus) echo "prom/prometheus:v2.53.3" ;;
  esac
}

base_image() { # NAME
  case $1 in
    triton) echo "debian:bookworm-slim" ;;
    *) echo "debian:trixie-slim" ;;
  esac
}

is_python() { [[ " ${PYTHON_IMAGES[*]} " == *" $1 "* ]]; } # NAME

dockerfile_folder() { if is_python "$1"; then echo images/python; else echo "images/$1"; fi; } # NAME

# The members of the workspace that a Python image runs, as options of `uv sync`. The worker has whatever a value of the
# chart may ask for; the recommender is a team's own image, with what a team needs.
python_members() { # NAME
  case $1 in
    operator) echo "--package millrace-operator --extra sqs" ;;
    worker) echo "--package millrace-worker --extra kafka --extra files --extra object-store --extra kubernetes --extra brokers" ;;
    gateway) echo "--package millrace-worker --extra gateway" ;;
    ingest) echo "--package millrace-worker --extra ingest" ;;
    recommender) echo "--package millrace-worker --package millrace-recommender --extra kafka --extra files --extra object-store" ;;
  esac
}

# implicit is compiled for OpenMP.
python_libraries() { if [[ $1 == recommender ]]; then echo libgomp1; fi; } # NAME

# All that an image is made of. A member's pyproject.toml counts for each Python image: uv reads the whole workspace.
input_paths() { # NAME
  dockerfile_folder "$1"
  echo .dockerignore
  is_python "$1" || return 0
  echo pyproject.toml uv.lock contracts ./*/pyproject.toml
  case $1 in
    operator) echo operator ;;
    recommender) echo worker recommender ;;
    *) echo worker ;;
  esac
}

inputs_fingerprint() { # NAME
  # shellcheck disable=SC2046 # the paths are words of ours without spaces
  {
    python_members "$1"
    python_libraries "$1"
    find $(input_paths "$1") -type f -not -path '*/__pycache__/*' -print0 | sort -zu | xargs -0 sha256sum
    docker image inspect --format '{{.Id}}' "$(base_image "$1")"
  } | sha256sum | cut -c -16
}

# Pulled images have no inputs of ours: their fingerprint is their name.
is_current() { # NAME
  local label official
  label=$(docker image inspect --format "{{index .Config.Labels \"$INPUTS_LABEL\"}}" "$(image_tag "$1")" 2>/dev/null) || return 1
  official=$(official_image "$1")
  [[ -n $official && $label == "$official" ]] || [[ $label == "$(inputs_fingerprint "$1")" ]]
}

# Where buildx is missing only the legacy builder works; the Dockerfiles suit both.
choose_builder() { docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0; }

# Take the official image under the local name, or return 1 where it cannot be pulled.
take_official() { # NAME
  local official
  official=$(official_image "$1")
  [[ -n $official ]] && pull_image "$official" || return 1
  docker build --quiet --label "$MADE_BY_LABEL" --label "$INPUTS_LABEL=$official" --tag "$(image_tag "$1")" - \
    <<<"FROM $official" >/dev/null
}

# The legacy builder leaves each image that a new one replaces, and each builder stage, as an image without a name.
# The newest stage is the cache of the next build and stays.
remove_replaced() { # NAME OLD_ID
  local stages
  if [[ -n $2 && $2 != "$(image_id "$1")" ]]; then
    docker image rm "$2" >/dev/null 2>&1 || note "the former $1 image stays: a container or a newer image uses it"
  fi
  mapfile -t stages < <(docker images --quiet --filter dangling=true --filter "label=millrace.dev/stage-of=$1" | tail -n +2)
  ((${#stages[@]} == 0)) || docker image rm "${stages[@]}" >/dev/null 2>&1 || note "an old stage of $1 stays in use"
}

image_id() { docker image inspect --format '{{.Id}}' "$(image_tag "$1")" 2>/dev/null || true; } # NAME

size_of() { # NAME
  docker image inspect --format '{{.Size}}' "$(image_tag "$1")" | awk '{printf "%.0f MB", $1 / 1e6}'
}

build() { # NAME
  local old started=$SECONDS arguments=()
  old=$(image_id "$1")
  if ! take_official "$1"; then
    if is_python "$1"; then
      arguments=(--build-arg "IMAGE=$1" --build-arg "MEMBERS=$(python_members "$1")")
      arguments+=(--build-arg "LIBRARIES=$(python_libraries "$1")")
    fi
    with_progress "build $(image_tag "$1")" "read the end of the log; a failed download is worth a second try" \
      docker build --network host --label "$MADE_BY_LABEL" --label "$INPUTS_LABEL=$(inputs_fingerprint "$1")" \
      "${arguments[@]}" --tag "$(image_tag "$1")" --file "$(dockerfile_folder "$1")/Dockerfile" .
  fi
  remove_replaced "$1" "$old"
  note "$(image_tag "$1"): $(size_of "$1"), $((SECONDS - started)) s"
}

build_all() { # NAME...
  local name missing=()
  step "Images"
  for name in "$@"; do
    image_exists "$(base_image "$name")" || missing+=("$name")
  done
  ((${#missing[@]} == 0)) || "$PROJECT_ROOT/local/base-images.sh"
  for name in "$@"; do
    if is_current "$name"; then
      skip "$(image_tag "$name") is current"
    else
      build "$name"
    fi
  done
}

node_ctr() { docker exec --interactive "$NODE_CONTAINER" ctr --namespace k8s.io "$@"; }

node_has() { # NAME
  local here
  here=$(image_id "$1")
  [[ -n $here ]] || fail "$(image_tag "$1") does not exist" "run 'make build-images' first"
  node_ctr images list "name==docker.io/$(image_tag "$1")" </dev/null | grep --quiet --fixed-strings "$NODE_LABEL=$here"
}

import_into_node() { # TAG...
  local snapshotter
  snapshotter=$(docker exec "$NODE_CONTAINER" containerd config dump \
    | sed --quiet --regexp-extended "s/^ *snapshotter = ['\"]([a-z-]+)['\"].*/\1/p" | head -n 1)
  docker save "$@" | node_ctr images import --digests --snapshotter "${snapshotter:-overlayfs}" -
}

load_all() { # NAME...
  local name missing=() tags=()
  step "Images into the cluster"
  [[ $(docker inspect --format '{{.State.Running}}' "$NODE_CONTAINER" 2>/dev/null) == true ]] \
    || fail "the cluster $CLUSTER_NAME is not running" "run 'make cluster' first"
  for name in "$@"; do
    if node_has "$name"; then
      skip "$(image_tag "$name") is in the node"
    else
      missing+=("$name")
      tags+=("$(image_tag "$name")")
    fi
  done
  ((${#missing[@]} > 0)) || return 0
  # One archive for all: layers that they share travel once.
  with_progress "load ${missing[*]}" "see whether the node has disk space: docker exec $NODE_CONTAINER df -h /var" \
    import_into_node "${tags[@]}"
  for name in "${missing[@]}"; do
    node_ctr images label "docker.io/$(image_tag "$name")" "$NODE_LABEL=$(image_id "$name")" </dev/null >/dev/null
  done
}

list_all() { # NAME...
  local name
  for name in "$@"; do
    if ! image_exists "$(image_tag "$name")"; then
      printf '%-26s missing\n' "$(image_tag "$name")"
    else
      printf '%-26s %8s  %s\n' "$(image_tag "$name")" "$(size_of "$name")" "$(is_current "$name" && echo current || echo outdated)"
    fi
  done
}

known_names() { # NAME...
  local name
  for name in "$@"; do
    [[ " ${ALL_IMAGES[*]} " == *" $name "* ]] || fail "there is no image '$name'" "choose from: ${ALL_IMAGES[*]}"
  done
}

main() {
  local command=${1:-build}
  (($# == 0)) || shift
  if (($# == 0)); then
    if [[ $command == load ]]; then set -- "${CLUSTER_IMAGES[@]}"; else set -- "${ALL_IMAGES[@]}"; fi
  fi
  known_names "$@"
  cd "$PROJECT_ROOT"
  docker info >/dev/null 2>&1 || fail "Docker does not answer" "run 'make cluster', which starts it, or start it yourself"
  choose_builder
  case $command in
    build) build_all "$@" ;;
    load) load_all "$@" ;;
    list) list_all "$@" ;;
    *) fail "'$command' is not something this script does" "use build, load or list" ;;
  esac
}

main "$@"
