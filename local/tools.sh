#!/usr/bin/env bash
# Have kind, helm and kubectl: the ones on PATH where their version suits, else built from Go modules into .local/bin.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=local/go.sh
source "$PROJECT_ROOT/local/go.sh"

HINT="see the log; when the module proxy did not answer, run the same command again"

version_numbers() { sed -n -E 's/.*v([0-9]+)\.([0-9]+).*/\1 \2/p' | head -n 1; }

kind_suits() {
  local major minor
  read -r major minor < <(kind version 2>/dev/null | version_numbers) || return 1
  ((major == 0 && minor >= KIND_MINOR_FROM))
}

helm_suits() {
  local major minor
  read -r major minor < <(helm version --short 2>/dev/null | version_numbers) || return 1
  ((major == 4 || (major == 3 && minor >= HELM_3_MINOR_FROM)))
}

kubectl_suits() {
  local major minor
  read -r major minor < <(kubectl version --client 2>/dev/null | version_numbers) || return 1
  ((major == 1 && minor >= KUBECTL_MINOR_FROM && minor <= KUBECTL_MINOR_TO))
}

build_kind() { GOBIN=$BIN_DIR go_quietly install -v -trimpath "sigs.k8s.io/kind@$KIND_VERSION"; }
build_helm() {
  GOBIN=$BIN_DIR go_quietly install -v -trimpath \
    -ldflags "-X helm.sh/helm/v4/internal/version.version=$HELM_VERSION" "helm.sh/helm/v4/cmd/helm@$HELM_VERSION"
}
# From the module of the node's binaries: most of it is compiled for them as well.
build_kubectl() {
  cd "$PROJECT_ROOT/images/node/kubernetes"
  go_quietly build -v -trimpath -ldflags "-s -w $(kubernetes_ldflags)" -o "$BIN_DIR/kubectl" k8s.io/kubernetes/cmd/kubectl
}

# What is in .local/bin comes first on PATH, so a tool built earlier is found by the same check.
have_tool() { # NAME
  hash -r
  if "$1_suits"; then
    skip "$1 ($(command -v "$1")) suits"
    return
  fi
  require_go
  with_progress "build $1" "$HINT" "build_$1"
  hash -r
  "$1_suits" || fail "$BIN_DIR/$1 was built but does not tell a version that suits" "run '$1 version' and see"
}

step "Tools: kind, helm, kubectl"
for tool in kind helm kubectl; do have_tool "$tool"; done
