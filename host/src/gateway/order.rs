//! What a worker is told before it opens a plugin: the payload of the launch frame.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gatehouse_plugin_api::wire;
use serde::{Deserialize, Serialize};

use super::{Confinement, Launch};

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
}

/// What a worker says before it opens the plugin: the payload of its first frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The number, in the worker, of the descriptor where its filter asks.
    pub(super) listener: i32,
    /// The version of Landlock that holds it; 0 for none.
    pub(super) landlock: u32,
}

impl Order {
    pub(super) fn of(launch: &Launch) -> Self {
        Self {
            path: launch.plugin.path().as_os_str().as_bytes().to_vec(),
            file_name: launch.plugin.file_name().to_owned(),
            section: launch.plugin.section().to_vec(),
            instance: wire::encode(&launch.instance),
            confinement: launch.confinement.clone(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }
}
