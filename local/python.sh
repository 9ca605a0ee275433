#!/usr/bin/env bash
# Install uv into .local and the workspace into .venv; skipped when both match the lock.
set -euo pipefail
cd "$(dirname "$0")/.."
source local/lib.sh

UV_VERSION=0.13.8

if ! .local/uv/bin/uv --version 2>/dev/null | grep -q " $UV_VERSION "; then
  python=$(command -v python3 || true)
  [ -n "$python" ] || fail "python3 is missing" "install Python 3.11 or later (Debian: apt-get install python3 python3-venv)"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old" "install Python 3.11 or later and put it first on PATH"
  step "installing uv $UV_VERSION into .local/uv"
  rm -rf .local/uv
  if ! "$python" -m venv .local/uv 2>/dev/null; then
    [ "$(id -u)" = 0 ] && [ -x /usr/bin/apt-get ] ||
      fail "python3 cannot make virtual environments" "install python3-venv (Debian: apt-get install python3-venv)"
    rm -rf .local/uv
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    "$python" -m venv .local/uv
  fi
  .local/uv/bin/pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
fi
mkdir -p .local/bin
ln -sf ../uv/bin/uv .local/bin/uv

# uv itself decides in milliseconds whether anything is to be done.
.local/bin/uv sync --all-packages --all-extras --frozen --quiet
