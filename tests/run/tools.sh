#!/bin/sh
# Checks what must be there before anything is built; one sentence for what is missing.
set -eu
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo "
command -v cc >/dev/null 2>&1 || {
  echo "gatehouse needs a C compiler: install it with '${sudo}apt-get install build-essential' and try again." >&2; exit 1; }
command -v cargo >/dev/null 2>&1 && command -v rustc >/dev/null 2>&1 || {
  echo "gatehouse needs Rust 1.95 or newer: install it from https://rustup.rs and try again." >&2; exit 1; }
version=$(rustc --version | cut -d' ' -f2)
major=${version%%.*}; rest=${version#*.}; minor=${rest%%.*}
[ "$major" -gt 1 ] || [ "$minor" -ge 95 ] || {
  echo "gatehouse needs Rust 1.95 or newer and found $version: run 'rustup update stable' and try again." >&2; exit 1; }
