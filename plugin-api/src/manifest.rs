//! What a plugin file says of itself, readable without running anything, and the section that holds it.
//!
//! The section is `magic, length (u32 LE), checksum (u64 LE, FNV-1a), MessagePack map`. It is written at compile time
//! by the export macro (see the `section` module) and read by the host from the file's bytes.

mod constant;

pub use constant::{CapabilityConst, ManifestConst};
#[doc(hidden)]
pub use constant::{capability, poll_interval_ms};
use serde::{Deserialize, Serialize};

use crate::attribute::AttributeSpec;
use crate::ids::IntegrationType;

/// The name of the ELF section.
pub const SECTION: &str = ".gatehouse";
/// The first bytes of the section's content.
pub const MAGIC: [u8; 12] = *b"GATEHOUSE\0M1";
/// Magic, length and checksum.
pub const HEADER_BYTES: usize = 12 + 4 + 8;
/// The largest manifest that is read.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The integration type: the plugin's id.
    pub id: IntegrationType,
    /// Its name for a person.
    pub label: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// The plugin's own version (semver).
    pub version: String,
    /// The version of the vocabulary it was built with (semver).
    pub api_version: String,
    /// The epoch of the boundary.
    pub abi_epoch: u32,
    /// The settings.
    #[serde(default)]
    pub attributes: Vec<AttributeSpec>,
    /// What it needs from the machine; everything else may be refused.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// The operations of the host without which it cannot run.
    #[serde(default)]
    pub required_ops: Vec<u32>,
    /// How often `poll` is called, in milliseconds; never when absent.
    #[serde(default)]
    pub poll_interval_ms: Option<u64>,
    /// `unwind` or `abort`.
    pub panic_strategy: String,
    /// The target triple it was built for.
    pub target: String,
    /// The compiler's version, to show; never a gate.
    #[serde(default)]
    pub rustc: String,
    /// CPU features that its code takes for granted, in rustc's names.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// Who wrote it.
    #[serde(default)]
    pub authors: String,
    /// Its licence (SPDX).
    #[serde(default)]
    pub licence: String,
    /// Where to read more.
    #[serde(default)]
    pub homepage: String,
}

/// One thing that a plugin needs from the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Capability {
    /// TCP to a host and port. `host` may be `{attribute_key}`: the host of that URL attribute; `*` is any.
    Network {
        /// A name, an address, `{attribute_key}` or `*`.
        host: String,
        /// The port; 0 is the attribute's own or any.
        #[serde(default)]
        port: u16,
    },
    /// UDP to a host and port, as above.
    Udp {
        /// A name, an address, `{attribute_key}` or `*`.
        host: String,
        /// The port; 0 is any.
        #[serde(default)]
        port: u16,
    },
    /// A TCP port to listen on.
    Listen {
        /// The port.
        port: u16,
    },
    /// Multicast on the local network.
    Multicast,
    /// A file or folder to read.
    Read {
        /// The path, or `{attribute_key}`.
        path: String,
    },
    /// A device to open.
    Device {
        /// The path, or `{attribute_key}`.
        path: String,
    },
    /// A program to start.
    Execute {
        /// The program's path.
        path: String,
    },
    /// A need that this side does not know yet: shown, never granted.
    #[serde(other)]
    Unknown,
}

impl Capability {
    /// Whether this one grants the other as well.
    pub fn covers(&self, other: &Self) -> bool {
        let reaches = |host: &str, port: u16, other: &str, other_port: u16| {
            // Port 0 of an attribute's host is the attribute's own port.
            let any_port = port == 0 && !host.starts_with('{');
            (host == "*" || host == other) && (any_port || port == other_port)
        };
        match (self, other) {
            (Self::Network { host, port }, Self::Network { host: other, port: other_port })
            | (Self::Udp { host, port }, Self::Udp { host: other, port: other_port }) => {
                reaches(host, *port, other, *other_port)
            }
            (Self::Read { path }, Self::Read { path: other }) => {
                other == path || other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
            _ => self == other,
        }
    }

    /// The need in plain words.
    pub fn sentence(&self) -> String {
        let at = |host: &str, port: u16| match (host, port) {
            ("*", 0) => "any host".to_owned(),
            ("*", port) => format!("port {port} of any host"),
            (host, 0) => host.to_owned(),
            (host, port) => format!("{host}, port {port}"),
        };
        match self {
            Self::Network { host, port } => format!("connect to {}", at(host, *port)),
            Self::Udp { host, port } => format!("send datagrams to {}", at(host, *port)),
            Self::Listen { port } => format!("accept connections on port {port}"),
            Self::Multicast => "speak to all devices of the local network (multicast)".to_owned(),
            Self::Read { path } => format!("read {path}"),
            Self::Device { path } => format!("use the device {path}"),
            Self::Execute { path } => format!("start the program {path}"),
            Self::Unknown => "something that this host does not know".to_owned(),
        }
    }
}

/// What is wanted beyond what is granted.
pub fn wants_more<'a>(granted: &[Capability], wanted: &'a [Capability]) -> Vec<&'a Capability> {
    wanted.iter().filter(|need| !granted.iter().any(|grant| grant.covers(need))).collect()
}

/// Why a section's content is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The content is shorter than it says, or than a header.
    #[error("the manifest section is cut short: {found} bytes of {expected}")]
    Short {
        /// The bytes there are.
        found: usize,
        /// The bytes there should be.
        expected: usize,
    },
    /// The first bytes are not [`MAGIC`].
    #[error("the manifest section does not begin as one")]
    Magic,
    /// More than [`MAX_BYTES`].
    #[error("the manifest says it has {0} bytes; the most is {MAX_BYTES}")]
    Large(usize),
    /// The checksum does not fit the bytes.
    #[error("the manifest's checksum does not fit its bytes: the file is damaged")]
    Checksum,
    /// The bytes are not a manifest's map.
    #[error("the manifest cannot be read: {0}")]
    Content(String),
}

/// The FNV-1a checksum (64 bits) of the manifest's bytes. Parameters: the FNV specification, draft-eastlake-fnv.
pub const fn checksum(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

impl Manifest {
    /// Reads the content of the section. Bounded; runs nothing.
    ///
    /// # Errors
    /// [`ManifestError`] says what is wrong.
    pub fn from_section(content: &[u8]) -> Result<Self, ManifestError> {
        let short = |expected| ManifestError::Short { found: content.len(), expected };
        if content.get(..MAGIC.len()).ok_or(short(HEADER_BYTES))? != MAGIC {
            return Err(ManifestError::Magic);
        }
        let number = |range: std::ops::Range<usize>| content.get(range).ok_or(short(HEADER_BYTES));
        let length = u32::from_le_bytes(number(12..16)?.try_into().map_err(|_| short(HEADER_BYTES))?) as usize;
        let expected = u64::from_le_bytes(number(16..24)?.try_into().map_err(|_| short(HEADER_BYTES))?);
        if length > MAX_BYTES {
            return Err(ManifestError::Large(length));
        }
        let bytes = content.get(HEADER_BYTES..HEADER_BYTES + length).ok_or(short(HEADER_BYTES + length))?;
        if checksum(bytes) != expected {
            return Err(ManifestError::Checksum);
        }
        crate::wire::read(bytes).map_err(ManifestError::Content)
    }
}
