#!/bin/sh
# Sourced by the test command: what it needs beyond the compiler, listed before it is installed.
wanted_cargo=""
cargo nextest --version >/dev/null 2>&1 || wanted_cargo="cargo-nextest"

if [ -n "$wanted_cargo" ]; then
  echo "The tests need and will now install, for this user:"
  echo "  with cargo: $wanted_cargo"
  cargo install --locked $wanted_cargo
else
  echo "The tests need nothing that is not here."
fi
