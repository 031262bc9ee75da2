//! Packs the SDK's sources into the binary, for `gatehouse plugin new`: the crates as they are, without their tests,
//! their manifests with every `workspace = true` replaced by what the workspace says.
//!
//! The result is one Rust file of `(path, content)` pairs, `OUT_DIR/sdk.rs`. The lock file goes along, cut down to what
//! the SDK needs: a new plugin builds with the very versions this binary was tested with.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use toml::{Table, Value};

/// The crates of the SDK: their folders in the checkout.
const CRATES: [&str; 3] = ["plugin-api", "plugin-api/abi", "plugin-api/macros"];
/// Tables of a crate's manifest that a vendored crate has no use for.
const LEFT_OUT: [&str; 4] = ["dev-dependencies", "example", "test", "bench"];

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo")).join("..");
    let out = PathBuf::from(env::var("OUT_DIR").expect("set by cargo"));
    println!("cargo::rerun-if-changed=build.rs");
    // The binary is the worker's too: each reads its relocations at its start, and packed they are a tenth. Linkers
    // that do not know the word say so and go on.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // What a plugin's library looks for, it finds in the program before the C library: see `gateway::sys::names`.
        println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol=getaddrinfo");
    }
    let workspace = read_table(&root.join("Cargo.toml"));

    let mut pack = String::from("&[\n");
    for folder in CRATES {
        let manifest = resolved(&root, &workspace, &root.join(folder).join("Cargo.toml"));
        let name = text_of(&manifest, &["package", "name"]).to_owned();
        let file = out.join(format!("{name}.toml"));
        write_if_changed(&file, &manifest.to_string());
        entry(&mut pack, &format!("{name}/Cargo.toml"), &file);
        let build_script = root.join(folder).join("build.rs");
        if build_script.exists() {
            println!("cargo::rerun-if-changed={}", build_script.display());
            entry(&mut pack, &format!("{name}/build.rs"), &build_script);
        }
        let sources = root.join(folder).join("src");
        println!("cargo::rerun-if-changed={}", sources.display());
        for source in files_below(&sources) {
            let inside = source.strip_prefix(&sources).expect("was found below it");
            entry(&mut pack, &format!("{name}/src/{}", inside.display()), &source);
        }
    }
    pack.push_str("]\n");
    write_if_changed(&out.join("sdk.rs"), &pack);
    write_if_changed(&out.join("sdk.lock"), &lock(&root));
}

fn entry(pack: &mut String, path: &str, file: &Path) {
    let _ = writeln!(pack, "    ({path:?}, include_str!({:?})),", file.display().to_string());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("the SDK is part of the checkout")
        .map(|entry| entry.expect("readable").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.file_stem().is_some_and(|name| name == "tests") {
            // A module of its own for unit tests: only compiled where those are run.
            continue;
        }
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn read_table(file: &Path) -> Table {
    println!("cargo::rerun-if-changed={}", file.display());
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A crate's manifest on its own feet.
fn resolved(root: &Path, workspace: &Table, file: &Path) -> Table {
    let mut manifest = read_table(file);
    for left_out in LEFT_OUT {
        manifest.remove(left_out);
    }
    let given = &workspace["workspace"];
    if manifest.get("lints").is_some_and(is_inherited) {
        // Kept, so that what the sources expect of the lints holds there too.
        manifest.insert("lints".to_owned(), given["lints"].clone());
    }
    for (key, value) in manifest["package"].as_table_mut().expect("a manifest has a package") {
        if is_inherited(value) {
            *value = given["package"][key.as_str()].clone();
        }
    }
    for table in ["dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get_mut(table).and_then(Value::as_table_mut) else { continue };
        for (name, value) in dependencies {
            if is_inherited(value) {
                *value = dependency(root, &given["dependencies"][name.as_str()], value);
            }
        }
    }
    manifest
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// What the workspace says of a dependency, with what the crate adds.
fn dependency(root: &Path, given: &Value, own: &Value) -> Value {
    let mut merged = match given {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    if let Some(path) = merged.get("path").and_then(Value::as_str) {
        let name = read_table(&root.join(path).join("Cargo.toml"));
        let beside = format!("../{}", text_of(&name, &["package", "name"]));
        merged.insert("path".to_owned(), Value::String(beside));
    }
    for (key, value) in own.as_table().expect("an inherited dependency is a table") {
        match (key.as_str(), merged.get_mut(key)) {
            ("workspace", _) => {}
            ("features", Some(Value::Array(features))) => {
                features.extend(value.as_array().expect("features are a list").iter().cloned());
            }
            _ => {
                merged.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Table(merged)
}

fn text_of<'a>(table: &'a Table, path: &[&str]) -> &'a str {
    let mut value = &table[path[0]];
    for key in &path[1..] {
        value = &value[*key];
    }
    value.as_str().expect("is text")
}

/// The lock file's packages that the SDK reaches, and no others.
fn lock(root: &Path) -> String {
    let mut lock = read_table(&root.join("Cargo.lock"));
    let packages = lock["package"].as_array().expect("a lock file lists packages").clone();
    let mut needed = BTreeSet::new();
    let mut open = vec!["gatehouse-plugin-api".to_owned()];
    while let Some(wanted) = open.pop() {
        // A dependency is "name", or "name version" where several versions are there.
        let (name, version) =
            wanted.split_once(' ').map_or((wanted.as_str(), None), |(name, version)| (name, Some(version)));
        for (index, package) in packages.iter().enumerate() {
            let same = package["name"].as_str() == Some(name)
                && version.is_none_or(|v| package["version"].as_str() == Some(v));
            if same && needed.insert(index) {
                let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
                open.extend(dependencies.filter_map(Value::as_str).map(str::to_owned));
            }
        }
    }
    let kept = packages.into_iter().enumerate().filter(|(index, _)| needed.contains(index)).map(|(_, package)| package);
    lock.insert("package".to_owned(), Value::Array(kept.collect()));
    lock.to_string()
}

fn write_if_changed(file: &Path, content: &str) {
    if fs::read_to_string(file).is_ok_and(|old| old == content) {
        return;
    }
    fs::write(file, content).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
