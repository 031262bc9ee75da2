#!/bin/sh
# Compiles everything, tests included, for aarch64: with Debian's own Rust compiler, which brings that target's library.
# Some minutes; nothing is run. As root, on Debian on an x86-64 machine.
set -eu
cd "$(dirname "$0")/../.."
packages="rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
echo "This needs and will install, with apt-get: $packages"
dpkg --add-architecture arm64
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq $packages
export RUSTC=/usr/bin/rustc CARGO_INCREMENTAL=0
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
exec cargo check --workspace --all-targets --locked --target aarch64-unknown-linux-gnu --target-dir target/aarch64
