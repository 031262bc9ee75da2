//! What a worker may do: from the manifest's needs and the person's settings to what the kernel is told.

mod confine;
mod destinations;
mod filter;
mod kernel;
mod listeners;
mod mediator;
mod network;
mod refusals;
mod wanted;

use std::path::{Path, PathBuf};

use gatehouse_plugin_api::attribute::{AttributeValue, AttributeValues, PlainValue};
use gatehouse_plugin_api::manifest::Capability;

pub use self::confine::Confinement;
use self::destinations::{Destination, Transport};
pub use self::kernel::{Kernel, Missing};
pub use self::listeners::HeldPorts;
pub(super) use self::mediator::answer;
pub(super) use self::refusals::Refusals;
pub use self::refusals::{Refusal, Tried, UndeclaredPath};
pub use self::wanted::wants_more;

impl Confinement {
    /// What the needs come to with these settings; `data_dir` is the integration's own folder.
    ///
    /// A need that names a setting which has no value yet grants nothing.
    pub fn of(needs: &[Capability], settings: &AttributeValues, data_dir: &Path) -> Self {
        let mut confinement = Self { data_dir: data_dir.to_owned(), ..Self::default() };
        for need in needs {
            match need {
                Capability::Read { path } => confinement.readable.extend(path_of(path, settings)),
                Capability::Device { path } => confinement.devices.extend(path_of(path, settings)),
                Capability::Execute { path } => confinement.programs.push(PathBuf::from(path)),
                Capability::Listen { port } => confinement.listen.push(*port),
                Capability::Multicast => confinement.multicast = true,
                Capability::Network { host, port } => {
                    confinement.destinations.extend(Destination::of(Transport::Tcp, host, *port, settings));
                }
                Capability::Udp { host, port } => {
                    confinement.destinations.extend(Destination::of(Transport::Udp, host, *port, settings));
                }
                Capability::Unknown => {}
            }
        }
        confinement
    }
}

/// A path as it is written, or as the setting that it names has it: absolute, else it is nobody's.
fn path_of(written: &str, settings: &AttributeValues) -> Option<PathBuf> {
    let path = match written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        None => PathBuf::from(written),
        Some(key) => match settings.get(key) {
            Some(AttributeValue::Plain(PlainValue::Text(text))) => PathBuf::from(text),
            _ => return None,
        },
    };
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_that_name_a_setting_grant_what_the_person_entered() {
        let needs = [
            Capability::Read { path: "{picture}".into() },
            Capability::Read { path: "/proc".into() },
            Capability::Device { path: "{port}".into() },
            Capability::Listen { port: 8080 },
            Capability::Unknown,
        ];
        let settings = AttributeValues::default().with("picture", "/srv/door.png").with("port", "relative");
        let confinement = Confinement::of(&needs, &settings, Path::new("/data"));
        let expected = Confinement {
            data_dir: "/data".into(),
            readable: vec!["/srv/door.png".into(), "/proc".into()],
            listen: vec![8080],
            ..Confinement::default()
        };
        assert_eq!(confinement, expected);
        let without = Confinement::of(&needs, &AttributeValues::default(), Path::new("/data"));
        assert_eq!(without.readable, [PathBuf::from("/proc")]);
    }
}
