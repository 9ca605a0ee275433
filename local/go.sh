# shellcheck shell=bash
# Go, for the tools and node binaries that are built from modules: found, or installed from Debian. Sourced.

go_minor() { go env GOVERSION 2>/dev/null | sed -n -E 's/^go1\.([0-9]+).*/\1/p'; }

# The newest Go below Debian's /usr/lib/go-* whose own version will do, because Debian may hold several.
use_packaged_go() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/go-1.*/bin | sort --version-sort --reverse); do
    [[ -x $folder/go ]] && PATH="$folder:$PATH" && break
  done
  export PATH
}

install_go() {
  local codename
  is_root_on_debian || fail "there is no Go of version 1.$GO_MINOR_FROM or later here" \
    "install Go, or run this as root on Debian"
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  if [[ $codename == bookworm ]]; then
    # bookworm's own Go 1.19 cannot fetch a newer toolchain; its backports hold one that can.
    sed -E 's/^(deb [^ ]+ )bookworm .*/\1bookworm-backports main/; s/^Suites: .*/Suites: bookworm-backports/' \
      "$(backports_source)" >/etc/apt/sources.list.d/millrace-backports.sources
    install_packages "compiling" golang-go/bookworm-backports golang-src/bookworm-backports
  else
    install_packages "compiling" golang-go
  fi
}

# Have a Go that can build everything, or fail with what to do.
require_go() {
  local minor
  minor=$(go_minor)
  if ((${minor:-0} < GO_MINOR_FROM)); then
    use_packaged_go
    minor=$(go_minor)
  fi
  if ((${minor:-0} < GO_MINOR_FROM)); then
    install_go
    use_packaged_go
  fi
  note "Go: $(go env GOVERSION) (modules may ask for a newer toolchain, which Go fetches itself)"
}

# Run go at low priority, two packages at a time: a Kubernetes compile would else take all memory and all cores.
go_quietly() { # GO_ARGUMENTS...
  local flags
  flags=$(go env GOFLAGS)
  CGO_ENABLED=0 GOTOOLCHAIN=auto GOFLAGS="$flags -p=2" nice -n 5 go "$@"
}
