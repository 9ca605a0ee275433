#!/usr/bin/env bash
# Install one pinned RabbitMQ from Debian sid into a trixie image build, and strip what a broker never reads.
set -euo pipefail

version=$1

step() { printf '==> %s\n' "$*"; }

# sid moves on: the pinned version may be gone one day. Say so plainly instead of installing another broker silently.
refuse_other_versions() {
  local offered
  offered=$(apt-cache madison rabbitmq-server | awk '{print $3}' | sort -u | tr '\n' ' ')
  [[ " $offered" == *" $version-"* ]] && return 0
  printf 'FAILED: Debian sid no longer offers RabbitMQ %s; its mirror has: %s\n' "$version" "${offered:-nothing}" >&2
  printf '  What to do next: set RABBITMQ_VERSION in images/rabbitmq/Dockerfile and local/images.sh to one of them and run\n' >&2
  printf "  the integration tests; or use the official image (a registry, or 'docker load' and 'docker tag').\n" >&2
  exit 1
}

step "add sid from the mirror that this image already uses"
apt-get update
# shellcheck disable=SC2016 # apt-get fills in $(REPO_URI), not the shell
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: trixie' | sort -u | head -n 1)
keys=$(find /usr/share/keyrings -name 'debian-archive-keyring.*' | sort | tail -n 1)
# check-valid-until: a mirror that lags behind serves an index past its date; the signature is still checked.
echo "deb [check-valid-until=no signed-by=$keys] $mirror sid main" >/etc/apt/sources.list.d/sid.list
apt-get update
refuse_other_versions

step "install rabbitmq-server $version"
# Named so that apt does not choose the whole of systemd for the one small program that Erlang's package wants.
apt-get install -y --no-install-recommends systemd-standalone-sysusers "rabbitmq-server=$version-*"

step "lay out the folders like the official image"
ln -s "$(dirname "$(find /usr/lib/rabbitmq/lib -maxdepth 2 -name sbin)")" /opt/rabbitmq
rm -rf /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq /etc/default/rabbitmq-server /etc/logrotate.d/rabbitmq-server
install -d -o rabbitmq -g rabbitmq -m 0755 /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq /etc/rabbitmq/conf.d

step "strip"
rm -rf /usr/lib/erlang/lib/*/examples /usr/lib/erlang/lib/*/src /usr/lib/erlang/lib/*/include /usr/bin/rabbitmqadmin* \
  /etc/apt/sources.list.d/sid.list /var/lib/apt/lists/* /var/cache/* /var/log/apt /var/log/*.log /usr/share/man/*
find /usr/share/doc -type f -not -name copyright -delete
