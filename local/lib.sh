# shellcheck shell=bash
# What every script under local/ shares: where things are, how progress and failure are told, and what is reachable.
#
# Source it first. All state goes to .local/ in the project, which git ignores and `make clean` removes.

set -euo pipefail

PROJECT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LOCAL_DIR=$PROJECT_ROOT/.local
BIN_DIR=$LOCAL_DIR/bin
LOG_DIR=$LOCAL_DIR/log
CLUSTER_NAME=millrace
NODE_CONTAINER=$CLUSTER_NAME-control-plane
KUBECONFIG=$LOCAL_DIR/kubeconfig # never ~/.kube/config: no other cluster is ever touched
MADE_BY_LABEL=millrace.dev/made-by=local
PULLED_IMAGES=$LOCAL_DIR/pulled-images # so that `make clean` removes these and no others
export PROJECT_ROOT LOCAL_DIR BIN_DIR LOG_DIR CLUSTER_NAME NODE_CONTAINER KUBECONFIG MADE_BY_LABEL PULLED_IMAGES
export PATH="$BIN_DIR:$PATH"

# shellcheck source=local/versions.sh
source "$PROJECT_ROOT/local/versions.sh"
mkdir -p "$BIN_DIR" "$LOG_DIR"

step() { printf '\n==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
skip() { printf '    %s: nothing to do\n' "$*"; }

# fail WHAT_HAPPENED WHAT_TO_DO_NEXT
fail() {
  printf '\nFAILED: %s\n' "$1" >&2
  printf '  What to do next: %s\n' "$2" >&2
  exit 1
}

# Run a command with its output in a log, and say every 20 s that it lives and how far the log is.
# with_progress LABEL WHAT_TO_DO_NEXT COMMAND...
with_progress() {
  local label=$1 hint=$2 started=$SECONDS said=$SECONDS log pid
  shift 2
  log=$LOG_DIR/$(tr -cs 'a-zA-Z0-9.\n' - <<<"$label").log
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    if ((SECONDS - said >= 20)); then
      said=$SECONDS
      note "$label: $((SECONDS - started)) s, $(wc -l <"$log") log lines, now: $(tail -n 1 "$log" | cut -c -70)"
    fi
  done
  if ! wait "$pid"; then
    tail -n 15 "$log" >&2
    fail "$label did not succeed after $((SECONDS - started)) s; the whole log is $log" "$hint"
  fi
  note "$label: done in $((SECONDS - started)) s"
}

# Wait until a command succeeds, or give up. wait_for LIMIT_SECONDS COMMAND...
wait_for() {
  local limit=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < limit)) || return 1
    sleep 0.5
  done
}

# Whether Docker can pull images from its registry; asked once an hour, because asking in vain costs time.
registry_reachable() {
  local answer=$LOCAL_DIR/registry-answer probe=hello-world:latest
  if [[ -z $(find "$answer" -mmin -60 2>/dev/null) ]]; then
    local had_probe=no
    docker image inspect "$probe" >/dev/null 2>&1 && had_probe=yes
    if timeout 15 docker pull --quiet "$probe" >"$LOG_DIR/registry-probe.log" 2>&1; then
      echo reachable >"$answer"
      [[ $had_probe == yes ]] || docker image rm "$probe" >/dev/null
    else
      echo unreachable >"$answer"
    fi
  fi
  [[ $(<"$answer") == reachable ]]
}

# Pull an image that is not here, or return 1 where that is not possible. pull_image NAME
pull_image() {
  registry_reachable || return 1
  note "pulling $1"
  timeout 600 docker pull "$1" || {
    note "$1 could not be pulled"
    return 1
  }
  echo "$1" >>"$PULLED_IMAGES"
}

image_exists() { docker image inspect "$1" >/dev/null 2>&1; }

# A fingerprint of files and words, to know whether what was made from them is still current.
content_hash() { # FILE_OR_FOLDER...
  (cd "$PROJECT_ROOT" && find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c -16)
}

is_root_on_debian() { [[ $(id -u) == 0 && -x /usr/bin/apt-get ]]; }

update_package_lists() { with_progress "apt-get update" "see whether the package mirror answers" apt-get update; }

# install_packages WHY PACKAGE...
install_packages() {
  local why=$1
  shift
  is_root_on_debian || fail "$why needs the packages $*" "install them, or run this as root on Debian"
  update_package_lists
  DEBIAN_FRONTEND=noninteractive with_progress "apt-get install $*" "see whether the package mirror answers" \
    apt-get install --yes --no-install-recommends "$@"
}
