//! Ports of this machine that no worker reaches, whatever it declares: what the daemon listens on and what other workers do.

use std::net::{IpAddr, UdpSocket};

use parking_lot::RwLock;

static HELD: RwLock<Vec<(Option<u32>, u16)>> = RwLock::new(Vec::new());

/// Ports that are kept from workers for as long as this lives.
#[derive(Debug)]
pub struct HeldPorts {
    owner: Option<u32>,
    ports: Vec<u16>,
}

impl HeldPorts {
    /// Ports that the daemon itself listens on.
    pub fn of_daemon(ports: impl Into<Vec<u16>>) -> Self {
        Self::hold(None, ports.into())
    }

    /// Ports that a worker may listen on: no other worker's to reach.
    pub(in crate::gateway) fn of_worker(pid: u32, ports: impl Into<Vec<u16>>) -> Self {
        Self::hold(Some(pid), ports.into())
    }

    fn hold(owner: Option<u32>, ports: Vec<u16>) -> Self {
        HELD.write().extend(ports.iter().map(|port| (owner, *port)));
        Self { owner, ports }
    }
}

impl Drop for HeldPorts {
    fn drop(&mut self) {
        let mut held = HELD.write();
        for port in &self.ports {
            if let Some(at) = held.iter().position(|one| *one == (self.owner, *port)) {
                held.swap_remove(at);
            }
        }
    }
}

/// Whether this is a port of this machine that is kept from a worker with this process id.
pub(super) fn is_kept_from(pid: u32, ip: IpAddr, port: u16) -> bool {
    let is_held = HELD.read().iter().any(|(owner, held)| *held == port && *owner != Some(pid));
    // Only what is this machine's own can be bound.
    is_held && (ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_port_is_kept_from_others_while_it_is_held() {
        let (own, other) = (1, 2);
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let held = (HeldPorts::of_daemon([81]), HeldPorts::of_worker(own, [82]));
        assert!(is_kept_from(own, here, 81));
        assert!(is_kept_from(other, Ipv6Addr::LOCALHOST.into(), 82));
        assert!(!is_kept_from(own, here, 82));
        assert!(!is_kept_from(own, Ipv4Addr::new(192, 0, 2, 7).into(), 81), "another machine's");
        drop(held);
        assert!(!is_kept_from(other, here, 81));
        assert!(!is_kept_from(other, here, 82));
    }
}
