//! From a staged file to its gateway's constructor: opens the library, checks the boundary, compares the manifest.
//!
//! The same code runs in a worker and in the daemon. What it opens stays mapped until the process ends: a library
//! with thread-locals never unmaps anyway, and nothing can then outlive its code.

use std::mem::ManuallyDrop;
use std::path::Path;

use gatehouse_abi::{ABI_EPOCH, CallSide, GatewayHandle, HEADER_SYMBOL, Module, OpenError, init_module};
use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::{manifest, wire};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::answer::clipped;
use crate::reason::{Reason, ReasonCode};

/// All that a loader refuses with. Who speaks in its place may say nothing else.
pub(super) const REFUSALS: &[ReasonCode] = &[
    ReasonCode::OpenFailed,
    ReasonCode::OtherAbi,
    ReasonCode::LayoutMismatch,
    ReasonCode::ManifestDisagrees,
    ReasonCode::ConstructorFailed,
];

/// A library that is open, with a boundary that fits and the manifest of its file.
#[derive(Debug)]
pub(super) struct Loaded {
    module: Module,
    file_name: String,
}

/// Opens the staged copy at `path`; runs the plugin's initialisers on the calling thread.
///
/// `file_name` is what sentences call the plugin; `section` is the manifest section as inspection read it.
///
/// # Errors
/// `open_failed`, `other_abi`, `layout_mismatch`, `constructor_failed` or `manifest_disagrees`.
pub(super) fn open(path: &Path, file_name: &str, section: &[u8]) -> Result<Loaded, Reason> {
    let header = header_of(path, file_name)?;
    #[expect(unsafe_code, reason = "the boundary's own check begins at a raw symbol")]
    // SAFETY: `header_of` gives the address of the header symbol in a library that it never closes.
    let module = unsafe { init_module(header) }.map_err(|error| refused(file_name, &error))?;
    if content(&module.manifest()) != content(section) {
        return Err(Reason::new(
            ReasonCode::ManifestDisagrees,
            format!("{file_name}: the running code tells another manifest than the file's section"),
        ));
    }
    Ok(Loaded { module, file_name: file_name.to_owned() })
}

impl Loaded {
    /// Makes a gateway; runs the plugin's constructor on the calling thread, which may block as long as that does.
    ///
    /// # Errors
    /// `constructor_failed`, with what the plugin said.
    pub(super) fn construct(&self, host: impl CallSide, instance: Vec<u8>) -> Result<GatewayHandle, Reason> {
        self.module.new_gateway(host, instance).map_err(|bytes| {
            let error = wire::decode::<CallError>(&bytes).unwrap_or_else(|unreadable| unreadable);
            clipped(Reason::new(
                ReasonCode::ConstructorFailed,
                format!("{}: its gateway could not be made: {error}", self.file_name),
            ))
        })
    }
}

/// The address of the module header in the library, which stays loaded for the rest of the process.
fn header_of(path: &Path, file_name: &str) -> Result<*const (), Reason> {
    #[expect(unsafe_code, reason = "opening a library runs its initialisers")]
    // SAFETY: the plugin's initialisers are arbitrary code by design. In a worker they can harm that process alone;
    // in the daemon they run only for an integration that was set to in-process, which says that it is trusted.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        Reason::new(ReasonCode::OpenFailed, format!("{file_name}: the library does not open")).caused_by(words(&error))
    })?;
    // Never closed, found fit or not: threads that its initialisers began would run in unmapped code.
    let library = ManuallyDrop::new(library);
    #[expect(unsafe_code, reason = "a symbol's type is the caller's word")]
    // SAFETY: the symbol is taken as a bare address and not used as anything here.
    let symbol = unsafe { library.get::<*const ()>(HEADER_SYMBOL.as_bytes()) }.map_err(|error| {
        Reason::new(
            ReasonCode::OtherAbi,
            format!("{file_name}: it exports no module header of boundary epoch {ABI_EPOCH}"),
        )
        .caused_by(words(&error))
    })?;
    Ok(symbol.as_raw_ptr().cast_const().cast())
}

/// What the system's loader said, which libloading keeps as the source of its own error.
fn words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn refused(file_name: &str, error: &OpenError) -> Reason {
    let code = match error {
        OpenError::Header { .. } | OpenError::Version { .. } => ReasonCode::OtherAbi,
        OpenError::Layout(_) => ReasonCode::LayoutMismatch,
        OpenError::Constructor { .. } => ReasonCode::ConstructorFailed,
    };
    clipped(Reason::new(code, format!("{file_name}: {error}")))
}

/// The section without what the linker may have put behind it.
fn content(section: &[u8]) -> &[u8] {
    let length = section.get(12..16).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    section.get(..manifest::HEADER_BYTES + length as usize).unwrap_or(section)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn why(path: &Path) -> Reason {
        open(path, "some.so", &[]).unwrap_err()
    }

    #[test]
    fn a_file_that_is_no_library_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"not a library").unwrap();
        let reason = why(file.path());
        assert_eq!(reason.code, ReasonCode::OpenFailed);
        assert!(reason.sentence.starts_with("some.so: "), "{reason}");
        assert!(reason.cause.is_some());
    }

    #[test]
    fn a_library_without_the_header_is_of_another_boundary() {
        assert_eq!(why(Path::new("libm.so.6")).code, ReasonCode::OtherAbi);
    }

    #[test]
    fn padding_behind_the_manifest_is_no_difference() {
        let mut section = vec![0; manifest::HEADER_BYTES];
        section[12] = 2;
        section.extend([7, 8]);
        let padded = [section.as_slice(), &[0; 6]].concat();
        assert_eq!(content(&padded), content(&section));
        assert_ne!(content(&section), content(&[]));
    }
}
