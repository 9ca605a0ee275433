#!/usr/bin/env bash
# Compile what a Kubernetes node is made of into .local/node/bin, from Go modules alone.
#
# For machines that reach no image registry. On two cores it takes about ten minutes from nothing; Go keeps what it
# compiled, and a binary whose version and sources have not changed is left as it is.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../local/lib.sh"
# shellcheck source=local/go.sh
source "$PROJECT_ROOT/local/go.sh"

OUT=$LOCAL_DIR/node/bin
HINT="see the log; when the module proxy did not answer, run the same command again: what was compiled is kept"
mkdir -p "$OUT"

# build NAME STAMP COMMAND... runs the command unless $OUT/NAME was made from the same stamp.
build() {
  local name=$1 stamp=$2
  shift 2
  if [[ -x $OUT/$name && $(cat "$OUT/$name.stamp" 2>/dev/null) == "$stamp" ]]; then
    skip "$name is compiled"
    return
  fi
  with_progress "compile $name" "$HINT" "$@"
  echo "$stamp" >"$OUT/$name.stamp"
}

compile_here() { # SOURCE_FOLDER NAME LDFLAGS
  cd "$PROJECT_ROOT/images/node/$1"
  go_quietly build -v -trimpath -ldflags "-s -w $3" -o "$OUT/$2" .
}

install_module() { # MODULE@VERSION LDFLAGS
  GOBIN=$OUT go_quietly install -v -trimpath -ldflags "-s -w $2" "$1"
}

step "Kubernetes $KUBERNETES_VERSION, etcd $ETCD_VERSION, CoreDNS $COREDNS_VERSION and the rest, from Go modules"
require_go
grep -q "k8s.io/kubernetes $KUBERNETES_VERSION\$" "$PROJECT_ROOT/images/node/kubernetes/go.mod" ||
  fail "images/node/kubernetes/go.mod does not name Kubernetes $KUBERNETES_VERSION" \
    "make it agree with local/versions.sh and run 'go mod tidy' there"
build kubernetes "$KUBERNETES_VERSION $(content_hash images/node/kubernetes)" \
  compile_here kubernetes kubernetes "$(kubernetes_ldflags)"
build etcd "$ETCD_VERSION $(content_hash images/node/etcd)" compile_here etcd etcd ""
build pause "$(content_hash images/node/pause)" compile_here pause pause ""
build coredns "$COREDNS_VERSION" install_module "github.com/coredns/coredns@$COREDNS_VERSION" ""
build local-path-provisioner "$LOCAL_PATH_PROVISIONER_VERSION" install_module \
  "github.com/rancher/local-path-provisioner@$LOCAL_PATH_PROVISIONER_VERSION" \
  "-X main.VERSION=$LOCAL_PATH_PROVISIONER_VERSION"
