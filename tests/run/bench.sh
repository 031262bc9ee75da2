#!/bin/sh
# Runs every benchmark and prints one table; the same as JSON in target/bench.json.
set -eu
cd "$(dirname "$0")/../.."
cargo build --release --locked -p gatehouse-host -p system-monitor -p virtual-house -p probe-plugin
rows=target/bench.jsonl
: > "$rows"
for bench in gateway readings; do
  echo "== $bench" >&2
  cargo bench --quiet --locked -p gatehouse-host --bench "$bench" > target/bench.out
  grep '^{' target/bench.out >> "$rows"
done
echo "== daemon" >&2
GATEHOUSE_PROFILE=release cargo bench --quiet --locked -p gatehouse-tests --bench daemon > target/bench.out
grep '^{' target/bench.out >> "$rows"
cargo run --quiet --locked -p gatehouse-tests --bin bench-table < "$rows"
