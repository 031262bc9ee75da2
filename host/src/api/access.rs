//! Who may do what at the socket: the daemon's own user and root everything, members of groups what the configuration
//! gives them, a worker nothing.

use std::io;

use rustix::process::PidfdFlags;
use tokio::net::UnixStream;

use super::auth::Permission;
use crate::config;
use crate::gateway::is_of_a_worker;
use crate::gateway::sys::{self, peer};

/// The groups that were given a permission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    read: Vec<u32>,
    control: Vec<u32>,
}

/// Why the configuration's groups cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is no such group.
    #[error(
        "access.{key} names the group {group:?}, which this system does not have: make it (groupadd), or correct the name"
    )]
    Unknown {
        /// The key.
        key: &'static str,
        /// The name.
        group: String,
    },
    /// The table of groups cannot be read.
    #[error("access.{key} names the group {group:?}, and the system's groups cannot be read")]
    Unreadable {
        /// The key.
        key: &'static str,
        /// The name.
        group: String,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    /// The user.
    pub(super) uid: u32,
    groups: Vec<u32>,
    /// One of this daemon's workers, or something that one started.
    is_worker: bool,
}

impl Access {
    /// Looks the groups of the configuration up, by name or by number. Blocks.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn of(config: &config::Access) -> Result<Self, AccessError> {
        Ok(Self {
            read: numbers("read_groups", &config.read_groups)?,
            control: numbers("control_groups", &config.control_groups)?,
        })
    }

    /// The groups whose members may connect, each once.
    pub fn groups(&self) -> Vec<u32> {
        let mut groups = [self.read.as_slice(), &self.control].concat();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// What a peer may do at most; `None`: nothing. The socket's mode says the same; this holds when somebody widened it.
    pub(super) fn permission_of(&self, peer: &Peer) -> Option<Permission> {
        let is_in = |groups: &[u32]| groups.iter().any(|group| peer.groups.contains(group));
        if peer.is_worker {
            None
        } else if peer.uid == 0 || peer.uid == rustix::process::geteuid().as_raw() || is_in(&self.control) {
            Some(Permission::Control)
        } else {
            is_in(&self.read).then_some(Permission::Read)
        }
    }
}

fn numbers(key: &'static str, names: &[String]) -> Result<Vec<u32>, AccessError> {
    let number = |group: &String| match group.parse() {
        Ok(number) => Ok(number),
        Err(_) => match peer::group_id(group) {
            Ok(Some(number)) => Ok(number),
            Ok(None) => Err(AccessError::Unknown { key, group: group.clone() }),
            Err(source) => Err(AccessError::Unreadable { key, group: group.clone(), source }),
        },
    };
    names.iter().map(number).collect()
}

impl Peer {
    /// Asks the kernel; `None` when the peer is gone: it has no credentials and needs no answer.
    pub(super) fn of(stream: &UnixStream) -> Option<Self> {
        let credentials = stream.peer_cred().ok()?;
        let mut groups = peer::peer_groups(stream).unwrap_or_default();
        groups.push(credentials.gid());
        let is_worker = match credentials.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0) {
            // What is found under the number is the peer's only if the peer is there before and after.
            Some(pid) => {
                let pidfd = peer::peer_pidfd(stream)
                    .or_else(|| rustix::process::pidfd_open(sys::pid_of(pid)?, PidfdFlags::empty()).ok())?;
                let is_worker = is_of_a_worker(pid);
                if sys::has_ended(&pidfd) {
                    return None;
                }
                is_worker
            }
            // In a namespace of processes that is not seen from here, where no worker can go.
            None => false,
        };
        Some(Self { uid: credentials.uid(), groups, is_worker })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const FAR: u32 = 4_000_000_000;

    #[test]
    fn the_daemons_user_root_and_members_of_groups_may_and_a_worker_may_not() {
        let access = Access { read: vec![10], control: vec![20] };
        let own = rustix::process::geteuid().as_raw();
        for (uid, groups, is_worker, expect) in [
            (0, vec![0], false, Some(Permission::Control)),
            (own, vec![], false, Some(Permission::Control)),
            (FAR, vec![1, 2], false, None),
            (FAR, vec![1, 10], false, Some(Permission::Read)),
            (FAR, vec![20], false, Some(Permission::Control)),
            (FAR, vec![10, 20], false, Some(Permission::Control)),
            (own, vec![], true, None),
            (0, vec![20], true, None),
        ] {
            let peer = Peer { uid, groups: groups.clone(), is_worker };
            assert_eq!(access.permission_of(&peer), expect, "{peer:?}");
            let nobody_else = Access::default().permission_of(&peer);
            assert_eq!(nobody_else, expect.filter(|_| uid == 0 || uid == own), "{peer:?}");
        }
        assert_eq!(access.groups(), [10, 20]);
    }

    #[test]
    fn groups_are_names_or_numbers() {
        let config = |group: &str| config::Access { read_groups: vec![group.to_owned()], control_groups: Vec::new() };
        assert_eq!(Access::of(&config("root")).unwrap().groups(), [0]);
        assert_eq!(Access::of(&config("4242")).unwrap().groups(), [4242]);
        let error = Access::of(&config("no-such-group-here")).unwrap_err().to_string();
        assert!(error.contains("access.read_groups") && error.contains("no-such-group-here"), "{error}");
    }

    /// Names the socket that the child below connects to.
    const SOCKET: &str = "GATEHOUSE_TEST_WORKER_SOCKET";

    /// Not a test by itself: what a worker would do, were its sandbox not in the way.
    #[test]
    fn connects_as_a_worker() {
        let Some(socket) = std::env::var_os(SOCKET) else { return };
        let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
        // Stays until the other side has looked at it.
        let _ = io::Read::read(&mut stream, &mut [0]);
    }

    #[tokio::test]
    async fn a_worker_is_refused_at_the_socket() {
        use std::os::unix::process::CommandExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let connect = || {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "api::access::tests::connects_as_a_worker"])
                .env(SOCKET, &path)
                .stdout(std::process::Stdio::null())
                .process_group(0)
                .spawn()
                .unwrap()
        };
        let own = Access::default();
        let mut person = connect();
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(own.permission_of(&Peer::of(&stream).unwrap()), Some(Permission::Control));
        drop(stream);
        person.wait().unwrap();
        let mut worker = connect();
        crate::gateway::worker_joined(worker.id());
        let (stream, _) = listener.accept().await.unwrap();
        let peer = Peer::of(&stream).unwrap();
        assert!(peer.is_worker);
        assert_eq!(own.permission_of(&peer), None);
        drop(stream);
        worker.wait().unwrap();
    }

    #[tokio::test]
    async fn the_other_end_is_this_process_and_no_worker() {
        let (here, _there) = UnixStream::pair().unwrap();
        let peer = Peer::of(&here).unwrap();
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
        assert!(!peer.is_worker);
    }
}
