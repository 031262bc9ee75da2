//! Plugins built as an author builds them: outside the workspace, by cargo, into one shared target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// A crate of `tests/fixtures`, copied below `target/fixtures`, where it may be changed.
pub(crate) struct Fixture {
    root: PathBuf,
    crate_root: PathBuf,
    features: &'static str,
    release: bool,
}

impl Fixture {
    /// `tests/fixtures/<name>` as it stands, against the SDK of this checkout.
    pub(crate) fn from_checkout(name: &str) -> Self {
        let root = fixtures().join(name);
        let sdk = sdk();
        let crate_root = root.clone();
        copy(&checkout().join("tests/fixtures").join(name), &root, &|path, text| rename_sdk(path, text, &sdk));
        Self { root, crate_root, features: "", release: false }
    }

    /// `tests/fixtures/tiny` against a copy of the SDK to which `change` was made, file by file.
    ///
    /// `name` tells the copies apart; it becomes part of the library's name. The copy's packages have the same names
    /// and versions as the SDK's and stand outside any workspace, as in a plugin that brings its SDK along.
    pub(crate) fn with_snapshot(name: &str, change: impl Fn(&str, String) -> String) -> Self {
        let root = fixtures().join(name);
        let snapshot = root.join("plugin-api");
        let workspace: toml::Table = read(&checkout().join("Cargo.toml")).parse().expect("the workspace's manifest");
        copy(&sdk(), &snapshot, &|path, text| match path {
            _ if path.ends_with("Cargo.toml") => change(path, resolve_workspace_keys(&text, &workspace, &snapshot)),
            path => change(path, text),
        });
        let crate_root = root.join("tiny");
        copy(&checkout().join("tests/fixtures/tiny"), &crate_root, &|path, text| {
            rename_sdk(path, text, &snapshot).replace("\"tiny-house\"\nversion", &format!("\"tiny-{name}\"\nversion"))
        });
        Self { root, crate_root, features: "", release: false }
    }

    /// With a feature of the fixture's.
    pub(crate) fn feature(mut self, feature: &'static str) -> Self {
        self.features = feature;
        self
    }

    /// In the release profile, whatever the fixture says of it.
    pub(crate) fn release(mut self) -> Self {
        self.release = true;
        self
    }

    /// Builds the library; `name` is the crate's, with underscores.
    pub(crate) fn build(&self, name: &str) -> PathBuf {
        let mut cargo = self.cargo("build");
        if self.release {
            cargo.arg("--release");
        }
        let output = cargo.output().expect("cargo starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} does not build:\n{errors}", self.root.display());
        build_folder().join(if self.release { "release" } else { "debug" }).join(format!("lib{name}.so"))
    }

    /// Checks a program that must not compile; what the compiler said.
    pub(crate) fn check_fails(&self, program: &str) -> String {
        let output = self.cargo("check").args(["--bin", program]).output().expect("cargo starts");
        assert!(!output.status.success(), "{program} compiles");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn cargo(&self, command: &str) -> Command {
        // The same versions as the workspace's, which are the ones on this disk. Cargo drops what it does not need, so
        // the copies differ and only their age tells whether the workspace's has changed since.
        let (lock, shared) = (self.crate_root.join("Cargo.lock"), checkout().join("Cargo.lock"));
        let written = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        if written(&lock) < written(&shared) {
            write_changed(&lock, &read(&shared));
        }
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args([command, "--offline", "--quiet", "--features", self.features]).current_dir(&self.crate_root);
        cargo.arg("--target-dir").arg(build_folder());
        cargo
    }
}

fn build_folder() -> PathBuf {
    fixtures().join("build")
}

fn sdk() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn checkout() -> PathBuf {
    sdk().parent().expect("the SDK stands in the checkout").to_owned()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp").join("fixtures")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes only what differs, so that cargo sees no change where there is none.
fn write_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return;
    }
    let folder = path.parent().expect("a file in a folder");
    fs::create_dir_all(folder).expect("the folder is made");
    // By renaming: another test may be building the same fixture.
    let new = tempfile::NamedTempFile::new_in(folder).expect("a new file");
    fs::write(new.path(), text).expect("written");
    new.persist(path).expect("renamed");
}

/// Copies a crate's sources, each through `change(path in the crate, text)`.
fn copy(from: &Path, to: &Path, change: &dyn Fn(&str, String) -> String) {
    copy_below(from, to, "", change);
}

fn copy_below(from: &Path, to: &Path, below: &str, change: &dyn Fn(&str, String) -> String) {
    for entry in fs::read_dir(from.join(below)).expect("a folder of the checkout") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if entry.file_type().expect("a type").is_dir() {
            if !matches!(name.as_str(), "tests" | "target" | "benches") {
                copy_below(from, to, &path, change);
            }
        } else if name != "Cargo.lock" {
            write_changed(&to.join(&path), &change(&path, read(&entry.path())));
        }
    }
}

/// Points the fixture's path dependency at `sdk`.
fn rename_sdk(path: &str, text: String, sdk: &Path) -> String {
    if !path.ends_with("Cargo.toml") {
        return text;
    }
    let sdk = format!("\"{}\"", sdk.display());
    text.replace("\"../../../../plugin-api\"", &sdk).replace("\"../../../plugin-api\"", &sdk)
}

/// A manifest that stands on its own: every `workspace = true` replaced by what the workspace says.
fn resolve_workspace_keys(text: &str, workspace: &toml::Table, snapshot: &Path) -> String {
    let mut manifest: toml::Table = text.parse().expect("a manifest");
    let shared = |section: &str, key: &str| workspace["workspace"][section][key].clone();
    let package = manifest["package"].as_table_mut().expect("a package");
    for (key, value) in package.iter_mut() {
        if value.get("workspace").is_some() {
            *value = shared("package", key);
        }
    }
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    for (name, dependency) in manifest["dependencies"].as_table_mut().expect("dependencies") {
        if dependency.get("workspace").is_none() {
            continue;
        }
        let own = dependency.as_table().expect("a table").clone();
        let mut resolved = match shared("dependencies", name) {
            toml::Value::Table(table) => table,
            version => toml::Table::from_iter([("version".to_owned(), version)]),
        };
        for (key, value) in own {
            match (key.as_str(), resolved.get_mut(&key)) {
                ("workspace", _) => {}
                ("features", Some(toml::Value::Array(features))) => {
                    features.extend(value.as_array().expect("a list").iter().cloned());
                }
                _ => drop(resolved.insert(key, value)),
            }
        }
        if let Some(path) = resolved.get("path").and_then(toml::Value::as_str) {
            let path = snapshot.join("..").join(path).to_string_lossy().into_owned();
            // By path alone, whatever version a copy gives itself.
            resolved = resolved.into_iter().filter(|(key, _)| key != "version").collect();
            resolved.insert("path".to_owned(), path.into());
        }
        *dependency = toml::Value::Table(resolved);
    }
    toml::to_string(&manifest).expect("a manifest")
}
