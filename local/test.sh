#!/usr/bin/env bash
# Everything that CI checks, cheapest first, and how long each stage took.
set -euo pipefail
cd "$(dirname "$0")/.."
source local/lib.sh

stages=(lint test-unit test-charts test-integration test-e2e)
began=$SECONDS
table=""
for stage in "${stages[@]}"; do
  stage_began=$SECONDS
  step "make $stage"
  make --no-print-directory "$stage" ||
    fail "make $stage failed after $((SECONDS - stage_began)) s" "run 'make $stage' alone; its messages are above"
  table+=$(printf '%-18s %4d s' "$stage" $((SECONDS - stage_began)))$'\n'
done
step "all stages passed in $((SECONDS - began)) s"
printf '%s' "$table"
