//! From the header a library exports to its checked root module, with a sentence for every way it can fail.

use std::fmt;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{AbiHeaderRef, LibraryError, RootModuleError};
use abi_stable::std_types::{RResult, RVec};

use crate::mismatch::{LayoutMismatch, in_short};
use crate::{GatewayHandle, PluginModuleRef, adapt};

/// A plugin's root module, layout checked.
#[derive(Clone, Copy)]
pub struct Module(PluginModuleRef);

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Module")
    }
}

impl Module {
    /// The manifest bytes as the running code has them.
    pub fn manifest(&self) -> Vec<u8> {
        self.0.manifest()().into_vec()
    }

    /// Makes one gateway. Runs the plugin's constructor code on the calling thread.
    ///
    /// # Errors
    /// The bytes of a MessagePack `CallError` when the plugin refuses or its constructor panics.
    pub fn new_gateway(&self, host: impl adapt::CallSide, instance: Vec<u8>) -> Result<GatewayHandle, Vec<u8>> {
        match self.0.new_gateway()(adapt::host_box(host), RVec::from(instance)) {
            RResult::ROk(gateway) => Ok(GatewayHandle::from(gateway)),
            RResult::RErr(error) => Err(error.into_vec()),
        }
    }
}

/// Why a library's root module was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenError {
    /// The header is not one of this `abi_stable` generation.
    Header {
        /// What the header says of itself.
        found: String,
    },
    /// The boundary's own version differs in its major number.
    Version {
        /// The version this host has.
        host: String,
        /// The version the plugin was built with.
        plugin: String,
    },
    /// A type of the boundary has another layout.
    Layout(LayoutMismatch),
    /// The plugin's own start-up code failed or panicked.
    Constructor {
        /// What it said.
        message: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REBUILD: &str = "rebuild the plugin with gatehouse-plugin-api 1.x and its gatehouse-abi 1.0";
        match self {
            Self::Header { found } => {
                write!(f, "the plugin's module header is of another generation ({found}); {REBUILD}")
            }
            Self::Version { host, plugin } => {
                write!(f, "the plugin was built for boundary {plugin} and this host speaks {host}; {REBUILD}")
            }
            Self::Layout(mismatch) => write!(f, "{mismatch}; {REBUILD}"),
            Self::Constructor { message } => {
                write!(f, "the plugin's module could not be made: {message}")
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// Checks the header found under [`crate::HEADER_SYMBOL`] and makes the root module.
///
/// Runs the plugin's module constructor on the calling thread. The checker is process-global: a worker, which
/// opens one library, is the right place for it.
///
/// # Errors
/// See [`OpenError`].
///
/// # Safety
/// `header` is the address of that symbol in a library that stays loaded for the rest of the process.
#[expect(unsafe_code, reason = "the symbol's address is the header itself")]
pub unsafe fn init_module(header: *const ()) -> Result<Module, OpenError> {
    // SAFETY: the caller passes the address of a live `LibHeader`, which begins with an `AbiHeader`;
    // `AbiHeaderRef` is a transparent reference to one.
    let header: AbiHeaderRef = unsafe { std::mem::transmute::<*const (), AbiHeaderRef>(header) };
    let header = header.upgrade().map_err(translate)?;
    match header.init_root_module::<PluginModuleRef>() {
        Ok(module) => Ok(Module(module)),
        Err(LibraryError::AbiInstability(text)) => {
            let found = header.layout().map(|plugin| check_layout_compatibility(PluginModuleRef::LAYOUT, plugin));
            Err(OpenError::Layout(match found {
                Some(Err(errors)) => in_short(&errors),
                _ => LayoutMismatch {
                    type_name: "PluginModule".into(),
                    what: "layout".into(),
                    host: "as published".into(),
                    plugin: text
                        .to_string()
                        .lines()
                        .find(|l| !l.trim().is_empty())
                        .unwrap_or("different")
                        .trim()
                        .to_owned(),
                },
            }))
        }
        Err(other) => Err(translate(other)),
    }
}

fn translate(error: LibraryError) -> OpenError {
    match error {
        LibraryError::InvalidAbiHeader(h) => {
            OpenError::Header { found: format!("abi_stable {}.{}", h.abi_major, h.abi_minor) }
        }
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
            OpenError::Version { host: expected_version.to_string(), plugin: actual_version.to_string() }
        }
        LibraryError::RootModule { err: RootModuleError::Unwound, .. } => {
            OpenError::Constructor { message: "its start-up code panicked".to_owned() }
        }
        LibraryError::RootModule { err, .. } => OpenError::Constructor { message: err.to_string().trim().to_owned() },
        LibraryError::InvalidCAbi { expected, found } => OpenError::Layout(LayoutMismatch {
            type_name: "extern \"C\" calling convention".into(),
            what: "a probe call's result".into(),
            host: expected.to_string(),
            plugin: found.to_string(),
        }),
        other => OpenError::Header { found: other.to_string() },
    }
}
