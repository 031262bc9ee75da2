#!/bin/sh
# What takes too long for every change: the same tests as in the test command, many times over. About an hour.
# SOAK_FUZZ_SECS is how long each fuzz target runs (ten minutes).
set -eu
cd "$(dirname "$0")/../.."
. tests/run/install.sh

step() { printf '\n== %s\n' "$1"; }
host_tests() { cargo nextest run -p gatehouse-host --test it --locked --no-capture --profile soak "$@"; }
: "${SOAK_FUZZ_SECS:=600}"

step "build"; cargo build --workspace --all-targets --locked

step "100,000 damaged plugins"
GATEHOUSE_MUTANTS=100000 host_tests plugin::damage

e2e() { GATEHOUSE_BUILT=1 cargo nextest run -p gatehouse-tests --test e2e --locked --no-capture --profile soak "$@"; }

step "1,000 kills of the daemon, 1,000 of a worker"
GATEHOUSE_KILLS=1000 e2e kills::

step "1,000 subscribers that do not read, 10,000 connections"
GATEHOUSE_SUBSCRIBERS=1000 GATEHOUSE_CONNECTIONS=10000 e2e load::
step "1,000 upgrades under calls, 300 kills in the middle of one"
GATEHOUSE_UPGRADES=1000 GATEHOUSE_UPGRADE_KILLS=300 GATEHOUSE_BUILT=1 \
  cargo nextest run -p gatehouse-tests --locked --no-capture --profile soak upgrading::

step "fuzz targets, $SOAK_FUZZ_SECS s each"
if cargo +nightly --version >/dev/null 2>&1 && cargo fuzz --version >/dev/null 2>&1; then
  for target in inspection frames manifest messages; do
    cargo +nightly fuzz run "$target" -- -max_total_time="$SOAK_FUZZ_SECS" -timeout=30 -rss_limit_mb=1024 -max_len=262144
  done
else
  echo "cargo-fuzz or a nightly compiler is not here: proptest drives the same targets, without coverage to guide it."
  GATEHOUSE_FUZZ_SECS="$SOAK_FUZZ_SECS" host_tests fuzz::
fi
