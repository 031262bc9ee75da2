//! What a worker is told before it opens a plugin: the payload of the launch frame.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gatehouse_plugin_api::wire;
use serde::{Deserialize, Serialize};

use super::{Confinement, Kernel, Launch};

/// The launch order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The staged copy's path, as the file system spells it.
    #[serde(with = "serde_bytes")]
    path: Vec<u8>,
    /// What sentences call the plugin.
    pub(super) file_name: String,
    /// The manifest section as inspection read it.
    #[serde(with = "serde_bytes")]
    pub(super) section: Vec<u8>,
    /// The encoded `Instance`, for the plugin's constructor.
    #[serde(with = "serde_bytes")]
    pub(super) instance: Vec<u8>,
    /// What the worker may do.
    pub(super) confinement: Confinement,
    /// What of it the kernel has.
    pub(super) kernel: Kernel,
}

/// What a worker says before it opens the plugin: the payload of its first frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The number, in the worker, of the descriptor where its filter asks, when it does.
    pub(super) listener: Option<i32>,
}

impl Order {
    pub(super) fn of(launch: &Launch) -> Self {
        Self {
            path: launch.plugin.path().as_os_str().as_bytes().to_vec(),
            file_name: launch.plugin.file_name().to_owned(),
            section: launch.plugin.section().to_vec(),
            instance: wire::encode(&launch.instance),
            confinement: launch.confinement.clone(),
            kernel: launch.kernel,
        }
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}
