//! The binary and the plugin files under test, built once per run.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The checkout.
pub fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the checkout").to_owned()
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout().join("target"), PathBuf::from)
}

/// `target/debug`, with the binary and the bundled plugins in it; `target/release` when `GATEHOUSE_PROFILE` says so,
/// which is for benchmarks and builds nothing.
///
/// # Panics
/// When they do not build.
pub fn built() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target();
        if std::env::var_os("GATEHOUSE_PROFILE").is_some_and(|profile| profile == "release") {
            return target.join("release");
        }
        // The test command builds everything before it starts the tests and says so.
        if std::env::var_os("GATEHOUSE_BUILT").is_none() {
            let status = Command::new(env!("CARGO"))
                .args([
                    "build",
                    "--quiet",
                    "--offline",
                    "-p",
                    "gatehouse-host",
                    "-p",
                    "system-monitor",
                    "-p",
                    "virtual-house",
                    "-p",
                    "probe-plugin",
                    "-p",
                    "zoo-plugin",
                    "-p",
                    "guest-plugin",
                ])
                .current_dir(checkout())
                .status()
                .expect("cargo starts");
            assert!(status.success(), "the binary and the plugins did not build");
        }
        target.join("debug")
    })
}

/// The `gatehouse` binary.
pub fn binary() -> PathBuf {
    built().join("gatehouse")
}

/// A bundled plugin's file: `virtual_house` → `target/debug/libvirtual_house.so`.
pub fn plugin_file(name: &str) -> PathBuf {
    built().join(format!("lib{name}.so"))
}

/// A bundled plugin's file, built with `panic = "abort"` as an author may build one. Builds it: the first time takes
/// minutes.
///
/// # Panics
/// When it does not build.
pub fn aborting_plugin_file(package: &str) -> PathBuf {
    let target = target().join("tmp/aborting");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "-p", package, "--target-dir"])
        .arg(&target)
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .current_dir(checkout())
        .status()
        .expect("cargo starts");
    assert!(built.success(), "{package} does not build with panic = \"abort\"");
    target.join(format!("debug/lib{}.so", package.replace('-', "_")))
}
