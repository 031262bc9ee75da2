//! The manifest as a constant: what `export_integration!` fills in and refuses while the plugin compiles.

use crate::duration;
use crate::ids::slug_problem;
use crate::ops::{Op, Side};
use crate::settings::AttributeSpecConst;

/// [`Manifest`](super::Manifest) as a constant; the fields mean the same.
#[derive(Debug, Clone, Copy)]
pub struct ManifestConst {
    /// The integration type.
    pub id: &'static str,
    /// Its name for a person.
    pub label: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// The plugin's own version.
    pub version: &'static str,
    /// The version of the vocabulary.
    pub api_version: &'static str,
    /// The epoch of the boundary.
    pub abi_epoch: u32,
    /// The settings.
    pub attributes: &'static [AttributeSpecConst],
    /// What it needs from the machine.
    pub capabilities: &'static [CapabilityConst],
    /// The operations of the host that it cannot do without.
    pub required_ops: &'static [Op],
    /// How often `poll` is called.
    pub poll_interval_ms: Option<u64>,
    /// `unwind` or `abort`.
    pub panic_strategy: &'static str,
    /// The target triple.
    pub target: &'static str,
    /// The compiler's version.
    pub rustc: &'static str,
    /// Every CPU feature of the known processors, and whether the code takes it for granted.
    pub cpu_features: &'static [(&'static str, bool)],
    /// Who wrote it, as Cargo has it: separated by colons.
    pub authors: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// Where to read more.
    pub homepage: &'static str,
}

/// [`Capability`](super::Capability) as a constant.
#[derive(Debug, Clone, Copy)]
pub enum CapabilityConst {
    /// TCP to a host and port.
    Network {
        /// A name, an address, `{attribute_key}` or `*`.
        host: &'static str,
        /// The port; 0 is any.
        port: u16,
    },
    /// UDP to a host and port.
    Udp {
        /// A name, an address, `{attribute_key}` or `*`.
        host: &'static str,
        /// The port; 0 is any.
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
        path: &'static str,
    },
    /// A device to open.
    Device {
        /// The path, or `{attribute_key}`.
        path: &'static str,
    },
    /// A program to start.
    Execute {
        /// The program's path.
        path: &'static str,
    },
}

impl ManifestConst {
    /// A manifest that says nothing yet, for the export macro to fill in.
    #[doc(hidden)]
    pub const EMPTY: Self = Self {
        id: "",
        label: "",
        description: "",
        version: "",
        api_version: crate::ops::API_VERSION,
        abi_epoch: 0,
        attributes: &[],
        capabilities: &[],
        required_ops: &[],
        poll_interval_ms: None,
        panic_strategy: "",
        target: env!("GATEHOUSE_TARGET"),
        rustc: env!("GATEHOUSE_RUSTC"),
        cpu_features: &[],
        authors: "",
        licence: "",
        homepage: "",
    };

    /// Refuses what no host would take. Called in a constant, so what is refused is an error of the compiler's.
    ///
    /// # Panics
    /// When something is missing, or the parts do not fit each other.
    #[must_use]
    pub const fn checked(self) -> Self {
        assert!(!self.id.is_empty(), "export_integration! needs the integration's id: write `id: \"my-integration\"`");
        if let Some(problem) = slug_problem(self.id) {
            const_panic(["the integration's id ", problem]);
        }
        assert!(
            !self.label.is_empty(),
            "export_integration! needs the integration's name for people: write `label: \"My integration\"`"
        );
        let mut at = 0;
        while at < self.capabilities.len() {
            match self.capabilities[at] {
                CapabilityConst::Network { host, .. } | CapabilityConst::Udp { host, .. } => self.check_reference(host),
                CapabilityConst::Read { path } | CapabilityConst::Device { path } => self.check_reference(path),
                CapabilityConst::Listen { .. } | CapabilityConst::Multicast | CapabilityConst::Execute { .. } => {}
            }
            at += 1;
        }
        at = 0;
        while at < self.required_ops.len() {
            assert!(
                matches!(self.required_ops[at].side(), Side::Host),
                "required_ops names operations that the host performs, such as ops::EMIT_DURABLE"
            );
            at += 1;
        }
        self
    }

    /// `{key}` must be one of the settings.
    const fn check_reference(&self, text: &str) {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            panic!("a capability names nothing: give the host or the path, or \"*\" for any host");
        }
        if bytes[0] != b'{' {
            return;
        }
        let mut at = 0;
        while at < self.attributes.len() {
            let key = self.attributes[at].key.as_bytes();
            if key.len() + 2 == bytes.len() && bytes[bytes.len() - 1] == b'}' {
                let mut same = 0;
                while same < key.len() && key[same] == bytes[same + 1] {
                    same += 1;
                }
                if same == key.len() {
                    return;
                }
            }
            at += 1;
        }
        const_panic(["a capability names a setting that there is not: ", text]);
    }
}

/// Panics with two texts joined, which `panic!` cannot do in a constant.
const fn const_panic(parts: [&str; 2]) -> ! {
    let mut bytes = [0; 256];
    let (mut part, mut at) = (0, 0);
    while part < parts.len() {
        let text = parts[part].as_bytes();
        let mut from = 0;
        while from < text.len() && at < bytes.len() {
            bytes[at] = text[from];
            (at, from) = (at + 1, from + 1);
        }
        part += 1;
    }
    match str::from_utf8(bytes.split_at(at).0) {
        Ok(sentence) => panic!("{}", sentence),
        Err(_) => panic!("{}", parts[0]),
    }
}

/// A poll interval from its text. Called in a constant.
///
/// # Panics
/// When the text is no duration, or none at all.
#[doc(hidden)]
pub const fn poll_interval_ms(text: &str) -> Option<u64> {
    match duration::parse_ms(text) {
        Some(0) | None => panic!("poll_interval is a duration: write \"30s\", \"5m\", \"1h30m\" or \"250ms\""),
        interval => interval,
    }
}

/// The words of `capabilities: […]`.
#[doc(hidden)]
pub mod capability {
    use super::CapabilityConst;

    /// TCP to `host` or `host:port`.
    pub const fn network(address: &'static str) -> CapabilityConst {
        let (host, port) = split_port(address);
        CapabilityConst::Network { host, port }
    }

    /// UDP to `host` or `host:port`.
    pub const fn udp(address: &'static str) -> CapabilityConst {
        let (host, port) = split_port(address);
        CapabilityConst::Udp { host, port }
    }

    /// A TCP port to listen on.
    pub const fn listen(port: u16) -> CapabilityConst {
        CapabilityConst::Listen { port }
    }

    /// Multicast on the local network.
    pub const fn multicast() -> CapabilityConst {
        CapabilityConst::Multicast
    }

    /// A file or folder to read.
    pub const fn read(path: &'static str) -> CapabilityConst {
        CapabilityConst::Read { path }
    }

    /// A device to open.
    pub const fn device(path: &'static str) -> CapabilityConst {
        CapabilityConst::Device { path }
    }

    /// A program to start.
    pub const fn execute(path: &'static str) -> CapabilityConst {
        CapabilityConst::Execute { path }
    }

    /// The number after the last colon is a port, unless another colon makes the whole an IPv6 address; one with a
    /// port stands in brackets, which are dropped.
    const fn split_port(address: &'static str) -> (&'static str, u16) {
        let bytes = address.as_bytes();
        let (mut at, mut colons, mut last) = (0, 0, 0);
        while at < bytes.len() {
            if bytes[at] == b':' {
                (colons, last) = (colons + 1, at);
            }
            at += 1;
        }
        let bracketed = !bytes.is_empty() && bytes[0] == b'[';
        if colons == 0 || colons > 1 && !(bracketed && bytes[last - 1] == b']') {
            return (address, 0);
        }
        let (host, port) = address.split_at(last);
        let host = if bracketed { host.split_at(1).1.split_at(host.len() - 2).0 } else { host };
        match u16::from_str_radix(port.split_at(1).1, 10) {
            Ok(port) => (host, port),
            Err(_) => panic!("a port is a number from 0 to 65535: write \"host:443\""),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::split_port;

        #[test]
        fn a_port_is_told_from_the_rest_of_an_address() {
            for (address, expected) in [
                ("hub.local", ("hub.local", 0)),
                ("hub.local:8123", ("hub.local", 8123)),
                ("{api_base_url}", ("{api_base_url}", 0)),
                ("*:443", ("*", 443)),
                ("fe80::1", ("fe80::1", 0)),
                ("[fe80::1]:80", ("fe80::1", 80)),
            ] {
                assert_eq!(split_port(address), expected);
            }
        }
    }
}
