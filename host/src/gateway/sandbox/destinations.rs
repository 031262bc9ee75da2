//! Where a plugin may connect and send to: what it declares, with the addresses that its names came to.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use gatehouse_plugin_api::attribute::{AttributeValue, AttributeValues, PlainValue};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Addresses that are kept of one name; older ones make room. A connection that is kept alive comes back to an address
/// long after its name leads elsewhere.
const ADDRESSES: usize = 64;

/// How it is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Host {
    Any,
    /// As the kernel would have it: no IPv4 in IPv6.
    Address(IpAddr),
    /// In lower case, without a final dot.
    Name(String),
}

/// One declared destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Destination {
    transport: Transport,
    host: Host,
    /// 0 is any.
    port: u16,
}

impl Destination {
    /// What is declared as `host` and `port` comes to with these settings. A setting without a value is nowhere.
    pub(super) fn of(transport: Transport, host: &str, port: u16, settings: &AttributeValues) -> Option<Self> {
        let Some(key) = host.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Some(Self { transport, host: host_of(host)?, port });
        };
        let Some(AttributeValue::Plain(PlainValue::Text(text))) = settings.get(key) else { return None };
        let (host, own_port) = host_and_port(text)?;
        Some(Self { transport, host, port: if port == 0 { own_port } else { port } })
    }

    pub(super) fn is(&self, transport: Transport) -> bool {
        self.transport == transport
    }

    /// 0 is any.
    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// A host as it is written in a manifest or in a URL.
fn host_of(text: &str) -> Option<Host> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match text {
        "" => None,
        "*" => Some(Host::Any),
        _ => Some(bare.parse().map_or_else(|_| Host::Name(name_of(text)), |address| Host::Address(canonical(address)))),
    }
}

fn name_of(text: &str) -> String {
    text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase()
}

/// The host and port (0 for none) of what a person entered: a URL, `host:port`, or a host. Never any host.
fn host_and_port(text: &str) -> Option<(Host, u16)> {
    let text = text.trim();
    if let Ok(url) = url::Url::parse(text)
        && let Some(host) = url.host_str()
    {
        let of_scheme = match url.scheme() {
            "mqtt" => 1883,
            "mqtts" => 8883,
            "rtsp" => 554,
            "rtsps" => 322,
            _ => 0,
        };
        return Some((host_of(host)?, url.port_or_known_default().unwrap_or(of_scheme))).filter(is_somewhere);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Some((Host::Address(canonical(address)), 0));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => Some((host_of(host)?, port.parse().ok()?)),
        None => Some((host_of(text)?, 0)),
    }
    .filter(is_somewhere)
}

fn is_somewhere((host, _): &(Host, u16)) -> bool {
    *host != Host::Any
}

/// The address that the kernel goes to in the end.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        // To nowhere is to this machine.
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// What one worker may reach, and what its names came to so far.
#[derive(Debug, Default)]
pub(super) struct Admission {
    declared: Vec<Destination>,
    multicast: bool,
    looked_up: Mutex<HashMap<String, VecDeque<IpAddr>>>,
}

impl Admission {
    pub(super) fn new(declared: Vec<Destination>, multicast: bool) -> Self {
        Self { declared, multicast, looked_up: Mutex::default() }
    }

    /// Whether it may be reached. `to` is canonical.
    pub(super) fn admits(&self, transport: Transport, to: SocketAddr) -> bool {
        let is_group = match to.ip() {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        if is_group {
            return self.multicast && transport == Transport::Udp;
        }
        let looked_up = self.looked_up.lock();
        self.declared.iter().any(|one| {
            one.is(transport)
                && (one.port == 0 || one.port == to.port())
                && match &one.host {
                    Host::Any => true,
                    Host::Address(address) => *address == to.ip(),
                    Host::Name(name) => looked_up.get(name).is_some_and(|known| known.contains(&to.ip())),
                }
        })
    }

    /// Whether a name may be looked up: it is declared, any host is, or it is this machine.
    pub(super) fn may_look_up(&self, name: &str) -> bool {
        let name = name_of(name);
        name == "localhost"
            || self.declared.iter().any(|one| match &one.host {
                Host::Any => true,
                Host::Name(declared) => *declared == name,
                Host::Address(_) => false,
            })
    }

    /// Remembers what a name came to, for as long as the worker lives.
    pub(super) fn learn(&self, name: &str, addresses: &[IpAddr]) {
        let name = name_of(name);
        // Of others, nothing rests on it.
        if !self.declared.iter().any(|one| one.host == Host::Name(name.clone())) {
            return;
        }
        let mut looked_up = self.looked_up.lock();
        let known = looked_up.entry(name).or_default();
        for address in addresses {
            let address = canonical(*address);
            known.retain(|one| *one != address);
            known.push_back(address);
            if known.len() > ADDRESSES {
                known.pop_front();
            }
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "connect to",
            Self::Udp => "send to",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(declared: &[(Transport, &str, u16)], settings: &AttributeValues) -> Admission {
        let declared =
            declared.iter().filter_map(|(transport, host, port)| Destination::of(*transport, host, *port, settings));
        Admission::new(declared.collect(), false)
    }

    fn at(text: &str) -> SocketAddr {
        let address: SocketAddr = text.parse().expect("an address");
        SocketAddr::new(canonical(address.ip()), address.port())
    }

    #[test]
    fn a_setting_is_worth_the_host_and_port_that_a_person_entered() {
        for (text, port, inside, outside) in [
            ("http://192.0.2.7:8123/api", 0, "192.0.2.7:8123", "192.0.2.7:22"),
            ("https://192.0.2.7", 0, "192.0.2.7:443", "192.0.2.7:80"),
            ("mqtt://192.0.2.7", 0, "192.0.2.7:1883", "192.0.2.7:8883"),
            ("http://[2001:db8::7]:80", 0, "[2001:db8::7]:80", "[2001:db8::8]:80"),
            ("192.0.2.7:81", 0, "192.0.2.7:81", "192.0.2.7:82"),
            ("192.0.2.7", 0, "192.0.2.7:5", "192.0.2.8:5"),
            ("2001:db8::7", 0, "[2001:db8::7]:5", "[2001:db8::8]:5"),
            ("192.0.2.7", 554, "192.0.2.7:554", "192.0.2.7:80"),
            ("http://192.0.2.7:8123", 554, "192.0.2.7:554", "192.0.2.7:8123"),
            ("::ffff:192.0.2.7", 80, "192.0.2.7:80", "192.0.2.8:80"),
        ] {
            let settings = AttributeValues::default().with("at", text);
            let admission = admission(&[(Transport::Tcp, "{at}", port)], &settings);
            assert!(admission.admits(Transport::Tcp, at(inside)), "{text} {inside}");
            assert!(!admission.admits(Transport::Tcp, at(outside)), "{text} {outside}");
            assert!(!admission.admits(Transport::Udp, at(inside)), "{text} {inside}");
        }
        for nowhere in ["", "*", "*:80", "http://", "host:port"] {
            let settings = AttributeValues::default().with("at", nowhere);
            let admission = admission(&[(Transport::Tcp, "{at}", 0)], &settings);
            assert!(!admission.admits(Transport::Tcp, at("192.0.2.7:80")), "{nowhere}");
        }
    }

    #[test]
    fn a_name_is_worth_the_addresses_it_came_to() {
        let admission = admission(&[(Transport::Tcp, "Example.org", 443)], &AttributeValues::default());
        assert!(admission.may_look_up("example.ORG."));
        assert!(!admission.may_look_up("www.example.org"));
        assert!(!admission.admits(Transport::Tcp, at("192.0.2.7:443")));
        admission.learn("example.org", &["192.0.2.7".parse().expect("an address")]);
        admission.learn("other.org", &["192.0.2.8".parse().expect("an address")]);
        assert!(admission.admits(Transport::Tcp, at("192.0.2.7:443")));
        assert!(admission.admits(Transport::Tcp, at("[::ffff:192.0.2.7]:443")));
        assert!(!admission.admits(Transport::Tcp, at("192.0.2.7:22")));
        assert!(!admission.admits(Transport::Tcp, at("192.0.2.8:443")));
        for number in 0..=u8::MAX {
            admission.learn("example.org", &[Ipv4Addr::new(192, 0, 2, number).into()]);
        }
        assert!(admission.admits(Transport::Tcp, at("192.0.2.255:443")));
        assert!(!admission.admits(Transport::Tcp, at("192.0.2.0:443")), "what is remembered is bounded");
    }

    #[test]
    fn groups_are_for_who_declares_multicast() {
        let to = at("224.0.0.251:5353");
        assert!(!admission(&[(Transport::Udp, "*", 0)], &AttributeValues::default()).admits(Transport::Udp, to));
        let multicast = Admission::new(Vec::new(), true);
        assert!(multicast.admits(Transport::Udp, to));
        assert!(multicast.admits(Transport::Udp, at("255.255.255.255:9")));
        assert!(!multicast.admits(Transport::Udp, at("192.0.2.7:5353")));
    }
}
