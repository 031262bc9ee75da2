//! The manifest: is it whole, does it make sense, and does the plugin speak this host's language.

use std::collections::HashSet;

use gatehouse_plugin_api::ids::IntegrationType;
use gatehouse_plugin_api::manifest::{HEADER_BYTES, MAGIC, Manifest, ManifestError};
use gatehouse_plugin_api::{ops, wire};
use semver::Version;
use serde::Deserialize;

use crate::reason::{Reason, ReasonCode};

/// A version becomes part of a file's name.
const VERSION_MAX_BYTES: usize = 64;

/// Reads the section's content.
///
/// # Errors
/// `damaged_manifest`; `bad_manifest` when it is whole and holds what is not allowed; `newer_api` when a newer
/// vocabulary made it unreadable.
pub(super) fn read(file_name: &str, section: &[u8]) -> Result<Manifest, Reason> {
    let manifest = match Manifest::from_section(section) {
        Ok(manifest) => manifest,
        Err(ManifestError::Content(problem)) => return Err(unreadable(file_name, section, &problem)),
        Err(error) => {
            return Err(Reason::new(ReasonCode::DamagedManifest, format!("{file_name}: {error}")));
        }
    };
    if section.get(1..).is_some_and(|rest| rest.windows(MAGIC.len()).any(|bytes| bytes == MAGIC)) {
        return Err(bad(
            file_name,
            "it holds more than one manifest: one plugin is linked into another; export_integration! may stand once",
        ));
    }
    Ok(manifest)
}

/// The few fields that tell why the others cannot be read.
#[derive(Deserialize)]
struct Outline {
    id: String,
    api_version: String,
}

fn unreadable(file_name: &str, section: &[u8], problem: &str) -> Reason {
    let content = section.get(HEADER_BYTES..).unwrap_or_default();
    let Ok(outline) = wire::decode::<Outline>(content) else {
        return Reason::new(ReasonCode::DamagedManifest, format!("{file_name}: the manifest cannot be read"))
            .caused_by(problem);
    };
    if let Err(error) = IntegrationType::new(&outline.id) {
        return bad(file_name, &error.to_string());
    }
    let ours = host_api();
    if Version::parse(&outline.api_version).is_ok_and(|theirs| (theirs.major, theirs.minor) > (ours.major, ours.minor))
    {
        return newer(file_name, &outline.api_version).caused_by(problem);
    }
    bad(file_name, "it cannot be read").caused_by(problem)
}

fn bad(file_name: &str, problem: &str) -> Reason {
    Reason::new(ReasonCode::BadManifest, format!("{file_name}: the manifest is not valid: {problem}"))
}

fn newer(file_name: &str, version: &str) -> Reason {
    Reason::new(
        ReasonCode::NewerApi,
        format!("{file_name} is built with gatehouse-plugin-api {version}; this host speaks {}", ops::API_VERSION),
    )
}

fn host_api() -> Version {
    Version::parse(ops::API_VERSION).expect("a Cargo package version is a semantic version")
}

/// Whether a readable manifest is one of a plugin that this host can run.
///
/// # Errors
/// `bad_manifest`, `other_abi`, `newer_api`, `older_api`, `other_cpu` or `other_system`.
pub(super) fn check(file_name: &str, manifest: &Manifest) -> Result<(), Reason> {
    check_values(manifest).map_err(|problem| bad(file_name, &problem))?;
    check_language(file_name, manifest)?;
    check_target(file_name, &manifest.target)
}

fn check_values(manifest: &Manifest) -> Result<(), String> {
    let version = |field: &str, text: &str| match Version::parse(text) {
        _ if text.len() > VERSION_MAX_BYTES => {
            Err(format!("the {field} is longer than {VERSION_MAX_BYTES} characters"))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the {field} {text:?} is no semantic version like 1.2.3: {error}")),
    };
    version("version", &manifest.version)?;
    version("api_version", &manifest.api_version)?;
    if manifest.label.trim().is_empty() {
        return Err("the label is empty".to_owned());
    }
    if !matches!(manifest.panic_strategy.as_str(), "unwind" | "abort") {
        return Err(format!("the panic strategy {:?} is neither unwind nor abort", manifest.panic_strategy));
    }
    if manifest.poll_interval_ms == Some(0) {
        return Err("the poll interval is 0".to_owned());
    }
    let mut keys = HashSet::new();
    for attribute in &manifest.attributes {
        if attribute.key.is_empty() {
            return Err("an attribute has no key".to_owned());
        }
        if !keys.insert(attribute.key.as_str()) {
            return Err(format!("the attribute {:?} is declared twice", attribute.key));
        }
    }
    Ok(())
}

fn check_language(file_name: &str, manifest: &Manifest) -> Result<(), Reason> {
    if manifest.abi_epoch != gatehouse_abi::ABI_EPOCH {
        return Err(Reason::new(
            ReasonCode::OtherAbi,
            format!(
                "{file_name} is built for epoch {} of the plugin boundary; this host has epoch {}",
                manifest.abi_epoch,
                gatehouse_abi::ABI_EPOCH
            ),
        ));
    }
    let ours = host_api();
    let theirs = Version::parse(&manifest.api_version)
        .map_err(|error| bad(file_name, "the api_version is no semantic version").caused_by(error))?;
    if theirs.major > ours.major {
        return Err(newer(file_name, &manifest.api_version));
    }
    if theirs.major < ours.major {
        return Err(Reason::new(
            ReasonCode::OlderApi,
            format!(
                "{file_name} is built with gatehouse-plugin-api {theirs}; this host speaks {} and no longer {}.x",
                ops::API_VERSION,
                theirs.major
            ),
        ));
    }
    let unknown: Vec<String> = manifest
        .required_ops
        .iter()
        .filter(|number| ops::by_number(**number).is_none())
        .take(8)
        .map(u32::to_string)
        .collect();
    if !unknown.is_empty() {
        return Err(Reason::new(
            ReasonCode::NewerApi,
            format!(
                "{file_name} (gatehouse-plugin-api {theirs}) cannot run without operations that this host lacks: \
                 number {}",
                unknown.join(", ")
            ),
        ));
    }
    Ok(())
}

fn check_target(file_name: &str, target: &str) -> Result<(), Reason> {
    let arch = target.split('-').next().unwrap_or_default();
    if arch != std::env::consts::ARCH {
        return Err(Reason::new(
            ReasonCode::OtherCpu,
            format!("{file_name} is built for {target}; this machine is {}", std::env::consts::ARCH),
        ));
    }
    let system = if cfg!(target_env = "musl") { "linux-musl" } else { "linux-gnu" };
    if !target.ends_with(system) {
        return Err(Reason::new(
            ReasonCode::OtherSystem,
            format!("{file_name} is built for {target}; this host needs a target that ends in {system}"),
        ));
    }
    Ok(())
}
