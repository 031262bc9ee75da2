#!/bin/sh
# Everything that must hold before a change lands. Installs what is missing after saying what it will install.
set -eu
cd "$(dirname "$0")/../.."
. tests/run/install.sh

step() { printf '\n== %s\n' "$1"; }

step "format";  cargo fmt --all --check
step "lint";    cargo clippy --workspace --all-targets --locked -- -D warnings
step "docs";    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
step "build";   cargo build --workspace --all-targets --locked
step "doctests"; cargo test --doc --workspace --locked
step "tests";   GATEHOUSE_BUILT=1 cargo nextest run --workspace --locked --no-fail-fast
