#!/usr/bin/env bash
# Have real KEDA in the local cluster as a peer to measure against, and remove it again.
#
#   local/keda.sh build       compile it from the Go module proxy and load its images into the node
#   local/keda.sh install     install it as its own kustomization does, without the admission webhook
#   local/keda.sh uninstall   remove all of it from the cluster
#   local/keda.sh status      tell whether it runs
#
# Nothing of KEDA stands in this repository: sources and manifests come from the module, whose checksum is pinned.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=local/go.sh
source "$PROJECT_ROOT/local/go.sh"

# Not in local/versions.sh, because every change there makes the node image anew. The checksum is sum.golang.org's.
KEDA_VERSION=v2.21.0
KEDA_CHECKSUM=h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=
MODULE=github.com/kedacore/keda/v2
KEDA_DIR=$LOCAL_DIR/keda
NODE_LABEL=millrace.dev/source-id
BINARIES=(keda keda-adapter)

# The module's own folder is the main module of the build, so that KEDA's replace directives count.
download() {
  local answer
  require_go
  answer=$(cd "$KEDA_DIR" && go mod download -json "$MODULE@$KEDA_VERSION") ||
    fail "$MODULE@$KEDA_VERSION could not be downloaded" "see whether the Go module proxy answers, then try again"
  [[ $answer == *"\"Sum\": \"$KEDA_CHECKSUM\""* ]] ||
    fail "$MODULE@$KEDA_VERSION is not what this script pins" "do not use it; compare KEDA_CHECKSUM with sum.golang.org"
  SOURCE=$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' <<<"$answer")
}

compile() { # COMMAND_FOLDER NAME
  go_quietly build -C "$SOURCE" -v -trimpath -o "$KEDA_DIR/bin/$2" \
    -ldflags "-s -w -X $MODULE/version.Version=${KEDA_VERSION#v} -X $MODULE/version.GitCommit=module-proxy" "./cmd/$1"
}

have_binary() { # COMMAND_FOLDER NAME
  local stamp=$KEDA_DIR/bin/$2.stamp
  if [[ -x $KEDA_DIR/bin/$2 && $(cat "$stamp" 2>/dev/null) == "$KEDA_VERSION" ]]; then
    skip "$2 $KEDA_VERSION is compiled"
    return
  fi
  with_progress "compile $2" "see the log; what was compiled is kept, so run the same command again" \
    nice_compile "$1" "$2"
  echo "$KEDA_VERSION" >"$stamp"
}

# Minutes of both cores: whatever else runs on this machine goes first.
nice_compile() {
  renice -n 10 -p "$BASHPID" >/dev/null
  compile "$@"
}

image_of() { echo "millrace/$1:$KEDA_VERSION"; } # NAME

build_image() { # NAME
  local context=$KEDA_DIR/context
  rm -rf "$context"
  mkdir -p "$context/tmp"
  ln "$KEDA_DIR/bin/$1" "$context/$1"
  printf 'FROM debian:trixie-slim\nCOPY %s /%s\nUSER 65532:65532\nENTRYPOINT ["/%s"]\n' "$1" "$1" "$1" >"$context/Dockerfile"
  docker build --label "$MADE_BY_LABEL" --tag "$(image_of "$1")" "$context"
  rm -rf "$context"
}

node_ctr() { docker exec --interactive "$NODE_CONTAINER" ctr --namespace k8s.io "$@"; }

# Where buildx is missing only the legacy builder works.
have_image() { # NAME
  local here
  docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
  [[ -n $(docker images --quiet "$(image_of "$1")") ]] ||
    with_progress "build $(image_of "$1")" "see the log" build_image "$1"
  here=$(docker image inspect --format '{{.Id}}' "$(image_of "$1")")
  if node_ctr images list "name==docker.io/$(image_of "$1")" </dev/null | grep --quiet --fixed-strings "$NODE_LABEL=$here"; then
    skip "$(image_of "$1") is in the node"
    return
  fi
  with_progress "load $(image_of "$1")" "see whether the node has disk space" load_image "$1"
  node_ctr images label "docker.io/$(image_of "$1")" "$NODE_LABEL=$here" </dev/null >/dev/null
}

load_image() { docker save "$(image_of "$1")" | node_ctr images import --digests -; } # NAME

build() {
  local name
  step "KEDA $KEDA_VERSION, from Go modules"
  mkdir -p "$KEDA_DIR/bin"
  [[ -f $KEDA_DIR/go.mod ]] || printf 'module none\ngo 1.24\n' >"$KEDA_DIR/go.mod"
  download
  have_binary operator keda
  have_binary adapter keda-adapter
  for name in "${BINARIES[@]}"; do have_image "$name"; done
}

# KEDA's own default configuration with our images; the webhook only checks what people write and takes part in nothing.
render() {
  local work=$KEDA_DIR/config
  rm -rf "$work"
  cp -r "$SOURCE/config" "$work"
  chmod -R u+w "$work"
  sed -i -e '/^- \.\.\/webhooks$/d' "$work/default/kustomization.yaml"
  kubectl kustomize "$work/default" |
    sed -E -e "s#image: ghcr.io/kedacore/keda-metrics-apiserver:.*#image: $(image_of keda-adapter)#" \
      -e "s#image: ghcr.io/kedacore/keda:.*#image: $(image_of keda)#" \
      -e 's/imagePullPolicy: Always/imagePullPolicy: IfNotPresent/' >"$KEDA_DIR/keda.yaml"
}

serves_external_metrics() {
  [[ $(kubectl get apiservice v1beta1.external.metrics.k8s.io \
    --output 'jsonpath={.status.conditions[?(@.type=="Available")].status}') == True ]]
}

install() {
  build
  step "KEDA into the cluster"
  render
  # Server-side: the resource definitions are too long for the annotation of a client-side apply. The APIService comes
  # last: an API server that connects before the Service's address leads to the pod keeps that connection, and where a
  # proxy outside answers for every address, it would hear that proxy's 404 for ever.
  local apply=(kubectl apply --server-side --force-conflicts --filename "$KEDA_DIR/keda.yaml")
  "${apply[@]}" --selector 'app.kubernetes.io/name!=v1beta1.external.metrics.k8s.io' >"$LOG_DIR/keda-install.log"
  kubectl --namespace keda rollout status deployment/keda-operator --timeout 120s >/dev/null
  kubectl --namespace keda rollout status deployment/keda-metrics-apiserver --timeout 120s >/dev/null
  "${apply[@]}" >>"$LOG_DIR/keda-install.log"
  wait_for 180 serves_external_metrics ||
    fail "KEDA does not serve external metrics" "look at 'kubectl --namespace keda get pods' and their logs"
  note "KEDA $KEDA_VERSION runs"
}

uninstall() {
  step "KEDA out of the cluster"
  if [[ ! -f $KEDA_DIR/keda.yaml ]]; then
    skip "it was not installed from here"
    return
  fi
  # ScaledObjects first, while their finalizers still have an operator to answer them.
  if kubectl get crd scaledobjects.keda.sh >/dev/null 2>&1; then
    kubectl delete scaledobjects.keda.sh --all --all-namespaces --timeout 60s >/dev/null
  fi
  kubectl delete --ignore-not-found --wait --timeout 120s --filename "$KEDA_DIR/keda.yaml" >"$LOG_DIR/keda-uninstall.log"
  note "KEDA is gone"
}

main() {
  mkdir -p "$KEDA_DIR"
  case ${1:-} in
    build | install | uninstall) "$1" ;;
    status) kubectl --namespace keda get deployments ;;
    *) fail "'${1:-}' is not something this script does" "use build, install, uninstall or status" ;;
  esac
}

main "$@"
