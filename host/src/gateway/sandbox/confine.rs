//! The worker's part of the sandbox: what the kernel is told while the process has one thread and no plugin.
//!
//! In this order: limits, capabilities, no new privileges, Landlock (files, ports to listen on, signals, abstract
//! sockets), the seccomp filter. Landlock and not mounts, because it needs no privilege; the filter beside it for what
//! Landlock leaves alone. An older kernel enforces what it knows of Landlock, and the host is told how much that is.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities,
};
use serde::{Deserialize, Serialize};

use super::destinations::{Destination, Transport};
use super::filter::{self, Allowed};
use super::kernel::Kernel;
use crate::gateway::sys;

/// The Landlock that the rules are written for.
const LANDLOCK: ABI = ABI::V7;
/// Most open descriptors of a worker.
const DESCRIPTORS: u64 = 1_024;
/// Most bytes of address space: a backstop against a leak that nothing else holds.
const ADDRESS_SPACE: u64 = 4 << 30;
/// What every plugin may read besides its own: libraries and their cache, time zones, the roots of certificates, names
/// of services.
const SYSTEM: &[&str] = &[
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/etc/ssl/certs",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/protocols",
];
/// How names of hosts are looked up, for a worker that does it itself because no host answers it.
const RESOLVER: &[&str] = &[
    "/etc/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
];
/// What a program needs to be started besides itself.
const LOADERS: &[&str] =
    &["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"];

/// What a worker may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// The only folder it may write to.
    pub(super) data_dir: PathBuf,
    /// Files and folders it may read.
    pub(super) readable: Vec<PathBuf>,
    /// Devices it may open and control.
    pub(super) devices: Vec<PathBuf>,
    /// Programs it may start.
    pub(super) programs: Vec<PathBuf>,
    /// TCP ports it may listen on.
    pub(super) listen: Vec<u16>,
    /// It may join multicast groups and send to them.
    pub(super) multicast: bool,
    /// Where it may connect and send to.
    pub(super) destinations: Vec<Destination>,
    /// What it opens is noted, for its author.
    pub(super) trace: bool,
}

impl Confinement {
    /// The same, with what it opens noted for its author.
    #[must_use]
    pub fn traced(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// Puts it on this process, for ever, as far as the kernel has it. `library` is the plugin's file. Gives the
    /// descriptor where the filter's questions are to be answered, when it asks.
    ///
    /// # Errors
    /// The kernel's.
    pub(in crate::gateway) fn put_on(&self, library: &Path, kernel: Kernel) -> io::Result<Option<OwnedFd>> {
        limit()?;
        self.give_up_capabilities()?;
        rustix::thread::set_no_new_privs(true)?;
        if kernel.landlock > 0 {
            self.restrict(library, kernel).map_err(io::Error::other)?;
        }
        if !kernel.filters {
            return Ok(None);
        }
        let allowed = Allowed {
            asks: kernel.answers(),
            udp: self.multicast || self.destinations.iter().any(|one| one.is(Transport::Udp)),
            listen: !self.listen.is_empty(),
            multicast: self.multicast,
            execute: !self.programs.is_empty(),
            trace: self.trace,
        };
        let listener = sys::install_filter(&filter::program(allowed, std::process::id()), allowed.asks)?;
        if allowed.asks {
            sys::ask_the_host();
        }
        Ok(listener)
    }

    /// Whether a worker with this process id may open the path, or it is within what may be.
    pub(super) fn names(&self, path: &Path, pid: u32) -> bool {
        let own = [self.data_dir.clone(), "/proc/self".into(), format!("/proc/{pid}").into(), "/dev/null".into()];
        let named = own.iter().chain(&self.readable).chain(&self.devices).chain(&self.programs).map(PathBuf::as_path);
        named.chain(SYSTEM.iter().map(Path::new)).any(|folder| path.starts_with(folder))
    }

    /// A daemon that runs as root has capabilities, and so would its workers and what they start. Kept is what a port
    /// below 1024 takes, when one is declared.
    fn give_up_capabilities(&self) -> io::Result<()> {
        let held = capabilities(None)?;
        let binds_low = self.listen.iter().any(|port| (1..1_024).contains(port));
        let wanted = if binds_low { CapabilitySet::NET_BIND_SERVICE } else { CapabilitySet::empty() };
        let kept = wanted & held.permitted;
        // Whoever may not narrow what programs that it starts can have has nothing that they could have.
        if held.effective.contains(CapabilitySet::SETPCAP) {
            for number in 0..u64::BITS {
                match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
                    Ok(()) => {}
                    // The one before was the kernel's last.
                    Err(Errno::INVAL) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        clear_ambient_capability_set()?;
        let left = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        Ok(set_capabilities(None, left)?)
    }

    /// Landlock: of files, ports, signals and abstract sockets, what is not named here is refused from now on.
    fn restrict(&self, library: &Path, kernel: Kernel) -> Result<(), RulesetError> {
        let level = ABI::from(i32::try_from(kernel.landlock.min(LANDLOCK as u32)).unwrap_or_default());
        let all = AccessFs::from_all(level);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let own = all & !(AccessFs::Execute | AccessFs::IoctlDev | AccessFs::MakeChar | AccessFs::MakeBlock);
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        // With a host that connects for the worker there is no rule for it: a second wall behind the filter. Without,
        // the ports are held, as far as they are declared; looking up names may take a connection to port 53.
        let answers = kernel.answers();
        let streams = || self.destinations.iter().filter(|one| one.is(Transport::Tcp));
        let holds_connections = answers || streams().all(|one| one.port() != 0);
        let mut rules = landlock::Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::from_all(level))?;
        if holds_connections {
            rules = rules.handle_access(AccessNet::ConnectTcp)?;
        }
        let mut rules = rules.create()?;
        rules = allow(rules, [&self.data_dir], own)?;
        rules = allow(rules, [library], AccessFs::ReadFile)?;
        rules = allow(rules, ["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile)?;
        // Its own account in /proc, and no other process's.
        rules = allow(rules, ["/proc/self"], read)?;
        rules = allow(rules, SYSTEM, read)?;
        rules = allow(rules, &self.readable, read)?;
        rules = allow(rules, &self.devices, device)?;
        if !self.programs.is_empty() {
            rules = allow(rules, &self.programs, AccessFs::ReadFile | AccessFs::Execute)?;
            rules = allow(rules, LOADERS, AccessFs::ReadFile | AccessFs::Execute)?;
        }
        for &port in &self.listen {
            rules = rules.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
        }
        if !answers {
            rules = allow(rules, RESOLVER, read)?;
            if holds_connections {
                for port in streams().map(Destination::port).chain([53]) {
                    rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
                }
            }
        }
        rules.restrict_self()?;
        Ok(())
    }
}

/// Paths that are not there are left out: nothing can be read of them.
fn allow<P: AsRef<Path>>(
    rules: RulesetCreated,
    paths: impl IntoIterator<Item = P>,
    access: impl Into<BitFlags<AccessFs>>,
) -> Result<RulesetCreated, RulesetError> {
    rules.add_rules(path_beneath_rules(paths, access))
}

fn limit() -> io::Result<()> {
    let set = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    // A core file would hold the secrets that the plugin was given.
    set(Resource::Core, 0)?;
    set(Resource::Nofile, DESCRIPTORS)?;
    set(Resource::As, ADDRESS_SPACE)?;
    Ok(())
}
