//! The worker as a process: spawned by the one thread that may, watched by its pidfd, always reaped.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};

use parking_lot::RwLock;
use rustix::io::Errno;
use rustix::process::{
    PidfdFlags, PidfdGetfdFlags, Signal, kill_process_group, pidfd_getfd, pidfd_open, pidfd_send_signal,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::family;
use super::group::{self, Group};
use crate::gateway::sys::Ended;
use crate::gateway::{Used, sys, worker};

static PROGRAM: RwLock<Option<PathBuf>> = RwLock::new(None);

/// Sets the program that workers run, for a process that is not the `gatehouse` binary itself (tests, benches).
///
/// Without it, the running program is executed again: the same file even after an update replaced it on disk.
pub fn set_worker_program(path: impl Into<PathBuf>) {
    *PROGRAM.write() = Some(path.into());
}

/// What a worker is given at its birth.
pub(super) struct Birth {
    /// Becomes standard input: the one channel.
    pub(super) channel: OwnedFd,
    /// Becomes standard output and error.
    pub(super) output: OwnedFd,
    /// Shown in the process list.
    pub(super) integration_id: String,
    /// The only folder it may write to; its `TMPDIR`.
    pub(super) data_dir: String,
    /// The page that it writes to when it dies by a fault.
    pub(super) crash_page: OwnedFd,
}

/// A child that is killed and reaped when this is dropped, wherever that happens.
pub(super) struct Process {
    child: Child,
    pidfd: AsyncFd<Arc<OwnedFd>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({})", self.child.pid)
    }
}

impl Process {
    /// Starts a worker. Needs a tokio runtime with I/O.
    pub(super) async fn spawn(birth: Birth) -> io::Result<Self> {
        let (answer, spawned) = oneshot::channel();
        spawner().send((birth, answer)).map_err(|_| io::Error::other("the thread that starts workers has ended"))?;
        let child = spawned.await.map_err(|_| io::Error::other("the thread that starts workers has ended"))??;
        let pidfd = sys::watch(Arc::clone(&child.pidfd))?;
        Ok(Self { child, pidfd })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid
    }

    /// What stands for the process, also when its number is another's.
    pub(super) fn pidfd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.child.pidfd)
    }

    /// A duplicate of a descriptor of the process.
    ///
    /// # Errors
    /// The kernel's: no such number there, or a process that may not be looked into.
    pub(super) fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        Ok(pidfd_getfd(&self.child.pidfd, number, PidfdGetfdFlags::empty())?)
    }

    /// What it had used; nothing as long as it lives.
    pub(super) fn used(&self) -> Option<Used> {
        self.child.ended.get().map(|(_, used)| *used)
    }

    /// Sends SIGKILL; nothing when it has ended.
    pub(super) fn kill(&self) {
        self.child.kill();
    }

    /// Resolves when the process has ended, and reaps it.
    pub(super) async fn ended(&self) -> Ended {
        loop {
            if let Some(ended) = self.child.reap(false) {
                return ended;
            }
            match self.pidfd.readable().await {
                // Cleared only if the process ends after this moment: the next look finds it otherwise.
                Ok(mut ready) => {
                    if self.child.reap(false).is_none() {
                        ready.clear_ready();
                    }
                }
                // The runtime is shutting down: nobody waits for this answer.
                Err(_) => std::future::pending().await,
            }
        }
    }
}

/// The child as the kernel knows it.
struct Child {
    pid: u32,
    pidfd: Arc<OwnedFd>,
    ended: OnceLock<(Ended, Used)>,
    is_reaped: AtomicBool,
    /// It stays until the worker is reaped and what the kernel counted in it is read.
    group: Option<Group>,
}

impl Child {
    fn kill(&self) {
        if !self.is_reaped.load(Ordering::Acquire) {
            // It may have ended this moment. Not reaped yet, so the number is still this child's, and its group's:
            // what it started ends with it.
            let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
            if let Some(group) = sys::pid_of(self.pid) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }

    fn reap(&self, block: bool) -> Option<Ended> {
        if let Some((ended, _)) = self.ended.get() {
            return Some(*ended);
        }
        let ended = match sys::wait_for(&self.pidfd, block) {
            Ok(None) => return None,
            Ok(Some((ended, used))) => (ended, used),
            // Somebody else in this process reaped it: that it ended is all that is known.
            Err(_) => (Ended::Exited(-1), Used::default()),
        };
        self.is_reaped.store(true, Ordering::Release);
        family::left(self.pid);
        Some(self.ended.get_or_init(|| ended).0)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_reaped.load(Ordering::Acquire) {
            return;
        }
        self.kill();
        let (pid, pidfd, group) = (self.pid, Arc::clone(&self.pidfd), self.group.take());
        // Reaping can take as long as the kernel needs to tear the process down; no caller of ours waits for that.
        let reap = move || {
            let _ = sys::wait_for(&pidfd, true);
            family::left(pid);
            drop(group);
        };
        if std::thread::Builder::new().name("worker reaper".into()).spawn(reap).is_err() {
            tracing::warn!(pid = self.pid, "a killed worker could not be reaped");
        }
    }
}

type Request = (Birth, oneshot::Sender<io::Result<Child>>);

/// The thread that spawns workers. It lives as long as the process, because the kernel sends the parent-death signal
/// when the thread that spawned a child ends: a runtime's thread would take its workers along.
fn spawner() -> &'static mpsc::Sender<Request> {
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (sender, requests) = mpsc::channel::<Request>();
        let serve = move || {
            for (birth, answer) in requests {
                // Nobody waiting any more drops the child, which ends it.
                let _ = answer.send(spawn(birth));
            }
        };
        // When it cannot be made, the channel is closed, and every launch says so.
        if let Err(error) = std::thread::Builder::new().name("worker spawner".into()).spawn(serve) {
            tracing::error!(%error, "the thread that starts workers could not be made");
        }
        sender
    })
}

fn spawn(birth: Birth) -> io::Result<Child> {
    let program = PROGRAM.read().clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
    let error_output = birth.output.try_clone()?;
    // Inherited under its own number: this is not closed at the start of another program. No other thread starts one.
    let crash_page = rustix::io::dup(&birth.crash_page)?;
    // Nothing here runs between fork and exec, so the standard library takes the quick way (vfork), which does not
    // depend on how much memory the daemon has. What must be done early is the worker's own first work.
    let child = Command::new(program)
        .arg0("gatehouse")
        .args([worker::ARGUMENT, "--parent", &std::process::id().to_string(), "--integration", &birth.integration_id])
        .args(["--crash-page", &crash_page.as_raw_fd().to_string()])
        .env_clear()
        .env("TMPDIR", &birth.data_dir)
        .current_dir("/")
        // A group of its own: Ctrl-C at the daemon's terminal is the daemon's to handle.
        .process_group(0)
        .stdin(Stdio::from(birth.channel))
        .stdout(Stdio::from(birth.output))
        .stderr(Stdio::from(error_output))
        .spawn()?;
    let pid = child.id();
    family::joined(pid);
    // It waits for its launch order, so that nothing of the plugin's happens outside.
    let group = group::enclose(&birth.integration_id, pid);
    // Not reaped yet, so the number is still this child's.
    let pidfd = sys::pid_of(pid).ok_or(Errno::SRCH).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    match pidfd {
        Ok(pidfd) => {
            let (pidfd, ended, is_reaped) = (Arc::new(pidfd), OnceLock::new(), AtomicBool::new(false));
            Ok(Child { pid, pidfd, ended, is_reaped, group })
        }
        Err(error) => {
            let mut child = child;
            child.kill()?;
            child.wait()?;
            family::left(pid);
            Err(error.into())
        }
    }
}
