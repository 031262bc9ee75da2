#!/bin/sh
# Sourced by the test command: what it needs beyond the compiler, listed before it is installed.
for part in fmt:rustfmt clippy:clippy; do
  cargo "${part%%:*}" --version >/dev/null 2>&1 || {
    echo "The tests need ${part##*:}: add it with 'rustup component add rustfmt clippy' and try again." >&2; exit 1; }
done
wanted_cargo=""
cargo nextest --version >/dev/null 2>&1 || wanted_cargo="cargo-nextest"

if [ -n "$wanted_cargo" ]; then
  echo "The tests need and will now install, for this user:"
  echo "  with cargo: $wanted_cargo"
  cargo install --locked $wanted_cargo
else
  echo "The tests need nothing that is not here."
fi
