//! What a newer version of a plugin wants that the version before it was not granted.

use std::path::{Component, Path};

use gatehouse_plugin_api::manifest::Capability;

/// The needs among `new` that nothing in `old` covers, in their order. A need that the host does not know is never
/// granted, so that it asks for nothing.
pub fn wants_more(old: &[Capability], new: &[Capability]) -> Vec<Capability> {
    let is_more = |need: &&Capability| !matches!(need, Capability::Unknown) && !old.iter().any(|had| covers(had, need));
    new.iter().filter(is_more).cloned().collect()
}

fn covers(had: &Capability, need: &Capability) -> bool {
    match (had, need) {
        (Capability::Network { host: had, port: at }, Capability::Network { host, port })
        | (Capability::Udp { host: had, port: at }, Capability::Udp { host, port }) => {
            // Of a setting, 0 is the port that it names and no other.
            let any_port = *at == 0 && !had.starts_with('{');
            (had == "*" || had.eq_ignore_ascii_case(host)) && (any_port || at == port)
        }
        (Capability::Read { path: had }, Capability::Read { path }) => is_within(path, had),
        _ => had == need,
    }
}

/// The same path, or one below it that does not lead out again.
fn is_within(path: &str, folder: &str) -> bool {
    let plain = Path::new(path).components().all(|part| part != Component::ParentDir);
    path == folder || (plain && Path::new(path).starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(host: &str, port: u16) -> Capability {
        Capability::Network { host: host.into(), port }
    }

    fn read(path: &str) -> Capability {
        Capability::Read { path: path.into() }
    }

    #[test]
    fn what_is_covered_is_no_more() {
        for (old, new, is_more) in [
            (network("example.org", 443), network("Example.org", 443), false),
            (network("example.org", 443), network("example.org", 80), true),
            (network("example.org", 0), network("example.org", 80), false),
            (network("*", 443), network("example.org", 443), false),
            (network("*", 443), network("example.org", 22), true),
            (network("example.org", 443), network("*", 443), true),
            (network("{url}", 0), network("{url}", 0), false),
            (network("{url}", 0), network("{url}", 22), true),
            (network("example.org", 443), Capability::Udp { host: "example.org".into(), port: 443 }, true),
            (read("/srv"), read("/srv/pictures"), false),
            (read("/srv"), read("/srv/../etc"), true),
            (read("/srv"), read("/srv2"), true),
            (read("/srv/pictures"), read("/srv"), true),
            (read("/dev/ttyUSB0"), Capability::Device { path: "/dev/ttyUSB0".into() }, true),
            (Capability::Listen { port: 80 }, Capability::Listen { port: 81 }, true),
            (Capability::Multicast, Capability::Multicast, false),
            (Capability::Multicast, Capability::Unknown, false),
        ] {
            let expected = if is_more { vec![new.clone()] } else { Vec::new() };
            assert_eq!(wants_more(std::slice::from_ref(&old), std::slice::from_ref(&new)), expected, "{old:?} {new:?}");
        }
        assert_eq!(wants_more(&[], &[Capability::Multicast, read("/srv")]), [Capability::Multicast, read("/srv")]);
    }
}
