//! `plugin new NAME`: a plugin crate that builds and tests anywhere on the disk.
//!
//! The SDK comes from this binary (packed by `build.rs`) and is unpacked into the crate's `vendor` folder as path
//! dependencies: no registry has to have it, and plugin and daemon fit each other. `--path` uses a checkout instead.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gatehouse_plugin_api::ids::IntegrationType;
use serde_json::json;

use super::args::PluginNew;
use super::failure::Failure;
use super::hint::{Hints, quoted};
use super::output::{Output, Tone};
use crate::home::Home;

/// The SDK's files: path below `vendor` and content.
static SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
/// The lock file of what the SDK needs.
static SDK_LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/sdk.lock"));
/// The crate that a plugin depends on.
const SDK_CRATE: &str = "gatehouse-plugin-api";

/// Words that cannot name a crate: Rust's keywords and the crates that are always there.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

pub(super) fn run(home: &Home, wanted: &PluginNew, output: &Output) -> Result<(), Failure> {
    let name = IntegrationType::new(&wanted.name).map_err(Failure::usage)?;
    check_name(name.as_str())?;
    let folder = wanted.dir.clone().unwrap_or_else(|| PathBuf::from(name.as_str()));
    let folder = std::path::absolute(&folder).map_err(|error| Failure::io(folder.display(), &error))?;
    let sdk = wanted.path.as_deref().map(checkout_sdk).transpose()?;
    check_folder(&folder)?;
    let hints = Hints::new(home);
    write(&Crate { name: name.as_str(), folder: &folder, sdk: sdk.as_deref(), home, hints: &hints })?;
    tell(&name, &folder, sdk.is_none(), home, &hints, output)
}

fn check_name(name: &str) -> Result<(), Failure> {
    if RESERVED.contains(&name) {
        return Err(Failure::usage(format!("{name:?} cannot name a crate: it is a word of the language"))
            .advise(format!("choose another, for example {name}-plugin")));
    }
    let taken = SDK_LOCK.lines().any(|line| line == format!("name = {name:?}"));
    if taken {
        return Err(Failure::usage(format!("{name:?} is the name of a crate that every plugin needs"))
            .advise(format!("choose another, for example {name}-plugin")));
    }
    Ok(())
}

fn check_folder(folder: &Path) -> Result<(), Failure> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                Err(Failure::failed(format!("{} is there and not empty: nothing was written", folder.display()))
                    .advise("choose another folder with --dir DIR"))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::io(folder.display(), &error)),
    }
}

/// The SDK of a checkout.
fn checkout_sdk(checkout: &Path) -> Result<PathBuf, Failure> {
    for sdk in [checkout.join("plugin-api"), checkout.to_owned()] {
        let manifest = fs::read_to_string(sdk.join("Cargo.toml")).unwrap_or_default();
        if manifest.lines().any(|line| line.trim() == format!("name = {SDK_CRATE:?}")) {
            return std::path::absolute(&sdk).map_err(|error| Failure::io(sdk.display(), &error));
        }
    }
    Err(Failure::usage(format!("--path {} is no checkout of Gatehouse", checkout.display()))
        .advise("name the folder that holds plugin-api, or leave --path out to use this binary's copy"))
}

struct Crate<'a> {
    name: &'a str,
    folder: &'a Path,
    /// The SDK's folder; `None` for a copy in `vendor`.
    sdk: Option<&'a Path>,
    home: &'a Home,
    hints: &'a Hints,
}

fn write(made: &Crate<'_>) -> Result<(), Failure> {
    let label = label(made.name);
    let sdk = made.sdk.map_or_else(|| format!("vendor/{SDK_CRATE}"), |path| path.display().to_string());
    let sdk_note = match made.sdk {
        None => "`vendor/`: the SDK as it was when the crate was made; `gatehouse plugin new` writes the current one."
            .to_owned(),
        Some(path) => format!("The SDK is used from `{}`.", path.display()),
    };
    let filled = |template: &str| {
        [
            ("{{name}}", made.name),
            ("{{lib}}", &made.name.replace('-', "_")),
            ("{{type}}", &type_name(made.name)),
            ("{{label}}", &label),
            ("{{sdk}}", &sdk),
            ("{{sdk_note}}", &sdk_note),
            // Vendored crates are no members: a workspace test would run theirs too.
            ("{{exclude}}", if made.sdk.is_none() { "\nexclude = [\"vendor\"]" } else { "" }),
            ("{{plugins}}", &quoted(&made.home.plugins_dir().to_string_lossy())),
            ("{{activate}}", &made.hints.command(&["integration", "activate", made.name])),
            ("{{watch}}", &made.hints.command(&["state", "watch", made.name])),
        ]
        .iter()
        .fold(template.to_owned(), |text, (mark, value)| text.replace(mark, value))
    };
    put(made.folder, "Cargo.toml", &filled(include_str!("scaffold/Cargo.toml.template")))?;
    put(made.folder, "src/lib.rs", &filled(include_str!("scaffold/lib.rs.template")))?;
    put(made.folder, "README.md", &filled(include_str!("scaffold/README.md.template")))?;
    put(made.folder, ".gitignore", include_str!("scaffold/gitignore.template"))?;
    if made.sdk.is_none() {
        for (path, content) in SDK {
            put(&made.folder.join("vendor"), path, content)?;
        }
        put(made.folder, "Cargo.lock", SDK_LOCK)?;
    }
    Ok(())
}

fn put(folder: &Path, path: &str, content: &str) -> Result<(), Failure> {
    let file = folder.join(path);
    let parent = file.parent().unwrap_or(folder);
    fs::create_dir_all(parent).map_err(|error| Failure::io(parent.display(), &error))?;
    fs::write(&file, content).map_err(|error| Failure::io(file.display(), &error))
}

/// `weather-station` → `Weather station`.
fn label(name: &str) -> String {
    let words = name.replace(['-', '_'], " ");
    let mut letters = words.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// `weather-station` → `WeatherStation`.
fn type_name(name: &str) -> String {
    name.split(['-', '_']).map(label).collect()
}

fn tell(
    name: &IntegrationType,
    folder: &Path,
    vendored: bool,
    home: &Home,
    hints: &Hints,
    output: &Output,
) -> Result<(), Failure> {
    let library = format!("target/release/lib{}.so", name.as_str().replace('-', "_"));
    if output.json {
        return output
            .json(&json!({ "name": name, "folder": folder, "library": folder.join(library), "vendored": vendored }));
    }
    output.line(format!("Made the plugin {} in {}", output.paint(Tone::Strong, name), folder.display()))?;
    let next = [
        format!("cd {}", quoted(&folder.to_string_lossy())),
        "cargo test".to_owned(),
        "cargo build --release".to_owned(),
        format!("cp {library} {}/", quoted(&home.plugins_dir().to_string_lossy())),
        hints.command(&["integration", "activate", name.as_str()]),
    ];
    output.line(format!("\nNext:\n  {}", next.join("\n  ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels_and_types() {
        assert_eq!(label("weather-station"), "Weather station");
        assert_eq!(type_name("weather-station_2"), "WeatherStation2");
    }

    #[test]
    fn the_packed_sdk_stands_on_its_own_feet() {
        let manifests: Vec<_> = SDK.iter().filter(|(path, _)| path.ends_with("Cargo.toml")).collect();
        assert_eq!(manifests.len(), 3);
        for (path, text) in manifests {
            assert!(!text.contains("workspace"), "{path} refers to a workspace:\n{text}");
            assert!(!text.contains("dev-dependencies"), "{path} wants what only its own tests need");
        }
        assert!(SDK.iter().any(|(path, _)| *path == "gatehouse-plugin-api/src/lib.rs"));
        assert!(SDK.iter().all(|(path, _)| !path.contains("tests/") && !path.contains("..")));
        assert!(SDK_LOCK.contains("name = \"abi_stable\"") && !SDK_LOCK.contains("name = \"rusqlite\""));
    }

    #[test]
    fn names_that_no_crate_can_have_are_refused() {
        assert!(check_name("weather").is_ok());
        for name in ["fn", "std", "serde", "gatehouse-plugin-api"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
