#!/bin/sh
# What takes too long for every change: the same tests as in the test command, many times over. About an hour.
# Each count is a variable: SOAK_KILLS=10 SOAK_MUTANTS=100 SOAK_FUZZ_SECS=5 tries the way through it. What was done how
# often stands together at the end.
set -eu
cd "$(dirname "$0")/../.."
. tests/run/install.sh

: "${SOAK_MUTANTS:=100000}" "${SOAK_KILLS:=1000}" "${SOAK_UPGRADES:=1000}" "${SOAK_UPGRADE_KILLS:=300}"
: "${SOAK_SUBSCRIBERS:=1000}" "${SOAK_CONNECTIONS:=10000}" "${SOAK_FUZZ_SECS:=600}"
said=target/soak.out
mkdir -p target
: > "$said"

step() { printf '\n== %s\n' "$1"; }
# Shows what a command says and keeps it; its failure ends the soak.
heard() { { "$@" 2>&1 || echo "failed: $*"; } | tee -a "$said"; if grep -q '^failed: ' "$said"; then exit 1; fi; }
host_tests() { heard cargo nextest run -p gatehouse-host --test it --locked --no-capture --profile soak "$@"; }
e2e() { heard cargo nextest run -p gatehouse-tests --test e2e --locked --no-capture --profile soak "$@"; }

step "build"; [ "${SOAK_BUILT:-}" ] || cargo build --workspace --all-targets --locked
export GATEHOUSE_BUILT=1

step "$SOAK_MUTANTS damaged plugins"
export GATEHOUSE_MUTANTS="$SOAK_MUTANTS"
host_tests plugin::damage

step "$SOAK_KILLS kills of the daemon, $SOAK_KILLS of a worker"
export GATEHOUSE_KILLS="$SOAK_KILLS"
e2e kills::

step "$SOAK_SUBSCRIBERS subscribers that do not read, $SOAK_CONNECTIONS connections"
export GATEHOUSE_SUBSCRIBERS="$SOAK_SUBSCRIBERS" GATEHOUSE_CONNECTIONS="$SOAK_CONNECTIONS"
ulimit -n "$(ulimit -H -n)"
e2e load::

step "$SOAK_UPGRADES upgrades under calls, $SOAK_UPGRADE_KILLS kills in the middle of one"
export GATEHOUSE_UPGRADES="$SOAK_UPGRADES" GATEHOUSE_UPGRADE_KILLS="$SOAK_UPGRADE_KILLS"
e2e upgrading::

step "fuzz targets, $SOAK_FUZZ_SECS s each"
if cargo +nightly --version >/dev/null 2>&1 && cargo fuzz --version >/dev/null 2>&1; then
  for target in inspection frames manifest messages; do
    echo "figure: fuzz target $target, $SOAK_FUZZ_SECS s" >> "$said"
    heard cargo +nightly fuzz run "$target" -- \
      -max_total_time="$SOAK_FUZZ_SECS" -timeout=30 -rss_limit_mb=1024 -max_len=262144
  done
else
  echo "cargo-fuzz or a nightly compiler is not here: proptest drives the same targets, without coverage to guide it."
  export GATEHOUSE_FUZZ_SECS="$SOAK_FUZZ_SECS"
  host_tests fuzz::
fi

step "figures"
grep -o 'figure: .*\|^Done [0-9]* runs.*' "$said" | sed 's/^figure: //'
