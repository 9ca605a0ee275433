# shellcheck shell=bash
# Go, for the tools and node binaries that are built from modules: found, or installed from Debian. Sourced.

go_minor() { { go env GOVERSION 2>/dev/null || true; } | sed -n -E 's/^go1\.([0-9]+).*/\1/p'; } # empty where there is no Go

# The newest Go below Debian's /usr/lib/go-* whose own version will do, because Debian may hold several.
use_packaged_go() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/go-1.*/bin | sort --version-sort --reverse); do
    [[ -x $folder/go ]] && PATH="$folder:$PATH" && break
  done
  export PATH
}

install_go() {
  local codename mirror
  is_root_on_debian || fail "there is no Go of version 1.$GO_MINOR_FROM or later here" \
    "install Go, or run this as root on Debian"
  codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  if [[ $codename != bookworm ]]; then
    install_packages "compiling" golang-go
    return
  fi
  # bookworm's own Go 1.19 cannot fetch a newer toolchain; its backports hold one that can. They are on the same mirror.
  # shellcheck disable=SC2016 # apt-get fills it in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Codename: bookworm" | head -n 1)
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
    >/etc/apt/sources.list.d/bookworm-backports.list
  install_packages "compiling" golang-go/bookworm-backports golang-src/bookworm-backports
}

# What Kubernetes components tell as their version is set when they are linked.
kubernetes_ldflags() {
  local version=$KUBERNETES_VERSION package minor flags=""
  minor=${version#v1.} minor=${minor%%.*}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
    flags+=" -X $package.gitTreeState=clean -X $package.buildDate=1970-01-01T00:00:00Z"
  done
  echo "$flags"
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
