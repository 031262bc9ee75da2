//! The worker's part of the sandbox: what the kernel is told while the process has one thread and no plugin.
//!
//! In this order: limits, no new privileges, Landlock (files, ports to listen on, signals, abstract sockets), the
//! seccomp filter. Landlock and not mounts, because it needs no privilege; the filter beside it for what Landlock
//! leaves alone. An older kernel enforces what it knows of Landlock, and the host is told how much that is.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::filter::{self, Allowed};
use crate::gateway::sys;

/// The Landlock that the rules are written for.
pub(in crate::gateway) const LANDLOCK: ABI = ABI::V7;
/// Most open descriptors of a worker.
const DESCRIPTORS: u64 = 1_024;
/// Most bytes of address space: a backstop against a leak that nothing else holds.
const ADDRESS_SPACE: u64 = 4 << 30;
/// What every plugin may read besides its own: libraries and their cache, time zones, the roots of certificates, how
/// names of hosts are looked up.
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
    "/etc/resolv.conf",
    "/run/systemd/resolve/stub-resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
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
    /// It may join multicast groups.
    pub(super) multicast: bool,
}

/// What came of it, and where the filter's questions are answered.
#[derive(Debug)]
pub(in crate::gateway) struct Confined {
    /// The version of Landlock's interface that is enforced; 0 when the kernel has none.
    pub(in crate::gateway) landlock: u32,
    pub(in crate::gateway) listener: OwnedFd,
}

impl Confinement {
    /// Puts it on this process, for ever. `library` is the plugin's file.
    ///
    /// # Errors
    /// The kernel's.
    pub(in crate::gateway) fn put_on(&self, library: &Path) -> io::Result<Confined> {
        limit()?;
        rustix::thread::set_no_new_privs(true)?;
        let landlock = self.restrict(library).map_err(io::Error::other)?;
        let allowed =
            Allowed { listen: !self.listen.is_empty(), multicast: self.multicast, execute: !self.programs.is_empty() };
        let listener = sys::install_filter(&filter::program(allowed, std::process::id()))?;
        Ok(Confined { landlock, listener })
    }

    /// Landlock: of files, ports, signals and abstract sockets, what is not named here is refused from now on.
    fn restrict(&self, library: &Path) -> Result<u32, RulesetError> {
        let all = AccessFs::from_all(LANDLOCK);
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let own = all & !(AccessFs::Execute | AccessFs::IoctlDev | AccessFs::MakeChar | AccessFs::MakeBlock);
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        let mut rules = landlock::Ruleset::default()
            .handle_access(all)?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::from_all(LANDLOCK))?
            .create()?;
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
        Ok(match rules.restrict_self()?.landlock {
            LandlockStatus::Available { effective_abi, .. } => (effective_abi as u32).min(LANDLOCK as u32),
            _ => 0,
        })
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
