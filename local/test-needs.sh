#!/usr/bin/env bash
# What tests need of the machine itself, beside Python and containers: installed where it is missing.
# shellcheck source=local/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing=()
# Documented commands pipe into it.
command -v jq >/dev/null || missing+=(jq)
# OpenMP, which the recommender's library is linked with; elsewhere than on Linux its wheel brings its own.
if [[ $(uname) == Linux ]] && ! PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -q 'libgomp\.so\.1'; then
  missing+=(libgomp1)
fi
if ((${#missing[@]})); then
  step "What tests need"
  install_packages "the tests" "${missing[@]}"
fi
