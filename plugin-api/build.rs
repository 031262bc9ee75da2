//! Tells the crate what it is compiled for and by, for the manifest of the plugin that it is linked into.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=GATEHOUSE_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=GATEHOUSE_RUSTC={}", rustc_version().unwrap_or_default());
}

/// The version alone, `1.95.0`; nothing when the compiler does not say. It is shown, never a gate.
fn rustc_version() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(1).map(str::to_owned)
}
