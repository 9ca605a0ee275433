#!/usr/bin/env bash
# Have a Docker that answers: the running one, else the installed one started, else (root on Debian) Debian's.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DAEMON_LOG=/var/log/dockerd.log
DAEMON_SETTINGS=/etc/docker/daemon.json
RUNTIME=/usr/local/libexec/millrace/runc-within-bounding-set
CAP_SYS_RESOURCE_BIT=24

docker_answers() { timeout 20 docker info >/dev/null 2>&1; }

lacks_cap_sys_resource() {
  local bounding
  bounding=$((16#$(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)))
  (((bounding >> CAP_SYS_RESOURCE_BIT & 1) == 0))
}

# Docker before 26 hands every capability it knows to a privileged container, also those that root lacks here.
use_runtime_within_bounding_set() {
  local major settings={}
  major=$(dockerd --version | sed -n -E 's/^Docker version ([0-9]+)\..*/\1/p')
  if ! lacks_cap_sys_resource || ((${major:-0} >= 26)); then return; fi
  command -v jq >/dev/null || install_packages "a Docker without CAP_SYS_RESOURCE" jq
  note "root lacks CAP_SYS_RESOURCE here: privileged containers run within what there is ($DAEMON_SETTINGS)"
  install -D --mode 755 "$PROJECT_ROOT/local/runc-within-bounding-set.sh" "$RUNTIME"
  mkdir -p "$(dirname "$DAEMON_SETTINGS")"
  [[ ! -s $DAEMON_SETTINGS ]] || settings=$(<"$DAEMON_SETTINGS")
  jq --arg path "$RUNTIME" '.runtimes["within-bounding-set"].path = $path
    | .["default-runtime"] = "within-bounding-set"' <<<"$settings" >"$DAEMON_SETTINGS.new"
  mv "$DAEMON_SETTINGS.new" "$DAEMON_SETTINGS"
}

# A daemon that was killed leaves its process number behind; when that number is of another process by now, or of a
# zombie, the next daemon believes that it runs already and refuses to start.
forget_dead_daemons() {
  local file program
  for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    [[ -f $file ]] || continue
    program=$(readlink "/proc/$(<"$file")/exe") || program=dead
    case ${program##*/} in
      dockerd | containerd) ;;
      *) rm -f "$file" ;;
    esac
  done
}

# Wait for the daemon as long as it lives; one that ends at once has said why in its log.
wait_for_daemon() { # PROCESS_NUMBER
  local limit=$((SECONDS + 60))
  until docker_answers; do
    kill -0 "$1" 2>/dev/null && ((SECONDS < limit)) || return 1
    sleep 0.5
  done
}

start_docker() {
  [[ $(uname) == Linux && $(id -u) == 0 ]] ||
    fail "Docker is installed but does not answer" "start it (Docker Desktop, or 'sudo systemctl start docker')"
  use_runtime_within_bounding_set
  if [[ -d /run/systemd/system ]]; then
    systemctl restart docker # restart: it may have started by itself before its runtime was set
    wait_for 60 docker_answers || fail "Docker did not answer within 60 s" "see 'journalctl --unit docker'"
    return
  fi
  forget_dead_daemons
  note "starting dockerd; it stays when this ends, its log is $DAEMON_LOG"
  setsid nohup dockerd >>"$DAEMON_LOG" 2>&1 </dev/null &
  wait_for_daemon $! || {
    tail -n 15 "$DAEMON_LOG" >&2
    fail "dockerd ended, or did not answer within 60 s" "see its log, $DAEMON_LOG; the last lines are above"
  }
}

install_docker() {
  is_root_on_debian || fail "there is no Docker here" "install Docker, or run this as root on Debian"
  local packages=(docker.io iptables)
  # trixie has the command line in a package of its own; bookworm knows only its name.
  update_package_lists
  if apt-cache policy docker-cli | grep -q 'Candidate: [0-9]'; then packages+=(docker-cli); fi
  install_packages "the local cluster" "${packages[@]}"
}

step "Docker"
if command -v docker >/dev/null && docker_answers; then
  skip "$(docker version --format 'Docker {{.Server.Version}}') answers"
  exit
fi
installed=no
if ! command -v dockerd >/dev/null && [[ $(uname) == Linux ]]; then
  install_docker
  installed=yes
fi
command -v docker >/dev/null || fail "there is no docker command here" "install Docker"
# systemd starts a Docker that was installed just now by itself, before its runtime is set.
if [[ $installed == yes ]] || ! docker_answers; then start_docker; fi
note "$(docker version --format 'Docker {{.Server.Version}}') answers"
