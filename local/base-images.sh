#!/usr/bin/env bash
# Make debian:trixie-slim and debian:bookworm-slim exist: pulled where a registry is reachable, else bootstrapped.
#
# All images of the project start from these two names, so that one Dockerfile serves both worlds.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# A machine behind an intercepting proxy trusts authorities that Debian does not know; pip and Go in a container must
# trust them too. They go where update-ca-certificates finds them, so that later upgrades keep them.
add_host_authorities() { # ROOT_OF_THE_NEW_SYSTEM (also given by mmdebstrap's hook)
  local root=$1 host_bundle=/etc/ssl/certs/ca-certificates.crt target=$1/usr/local/share/ca-certificates
  [[ -r $host_bundle ]] || return 0
  mkdir -p "$target"
  awk -v known="$root$host_bundle" -v target="$target" '
    function keep(pem) { if (!(pem in seen)) { seen[pem] = 1; return 1 } return 0 }
    /BEGIN CERTIFICATE/ { inside = 1; pem = "" }
    inside { pem = pem $0 "\n" }
    /END CERTIFICATE/ {
      inside = 0
      if (keep(pem) && FILENAME != known) { file = target "/host-" ++count ".crt"; printf "%s", pem > file; close(file) }
    }' "$root$host_bundle" "$host_bundle"
  chroot "$root" update-ca-certificates
}

bootstrap() { # SUITE
  local suite=$1 image=debian:$1-slim archive=$LOCAL_DIR/debian-$1.tar
  command -v mmdebstrap >/dev/null || install_packages "bootstrapping $image" mmdebstrap debian-archive-keyring
  [[ $(id -u) == 0 ]] || fail "$image cannot be pulled, and bootstrapping it needs root" \
    "run 'make cluster' as root, or give this machine access to an image registry"
  with_progress "bootstrap $image" "see the log; a missing keyring means an old debian-archive-keyring package" \
    mmdebstrap --variant=minbase --include=ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="'${BASH_SOURCE[0]}' add-host-authorities \"\$1\"" "$suite" "$archive"
  docker import --change 'CMD ["bash"]' --change "LABEL $MADE_BY_LABEL" "$archive" "$image" >/dev/null
  rm -f "$archive"
}

if [[ ${1:-} == add-host-authorities ]]; then
  add_host_authorities "$2"
  exit
fi

step "Base images"
for suite in trixie bookworm; do
  image=debian:$suite-slim
  if image_exists "$image"; then
    skip "$image is here"
  else
    pull_image "$image" || bootstrap "$suite"
  fi
done
