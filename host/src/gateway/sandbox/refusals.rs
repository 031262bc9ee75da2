//! What a worker was refused: counted by what was tried, so that a loop of refusals costs one line.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::sys::{Asked, LOOK_UP};

/// Different attempts that are kept of one worker; what goes beyond is counted together.
const KINDS: usize = 32;
/// What is counted together.
const MORE: &str = "tried other things that it may not do";
/// Different paths that are kept of one worker.
const PATHS: usize = 128;
/// What is counted together of those.
const MORE_PATHS: &str = "other paths";

/// One thing that a worker tried and may not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// What was tried, as the rest of a sentence: `tried to start a program`.
    pub tried: String,
    /// How often.
    pub count: u64,
}

/// A path that a worker opened, or would have, and its manifest does not declare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UndeclaredPath {
    /// The path, as far as it can be told.
    pub path: String,
    /// How often.
    pub count: u64,
}

/// What a worker tried and may not do, since it started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tried {
    /// What it was refused.
    pub refusals: Vec<Refusal>,
    /// Paths that it opened and did not declare, when it is traced.
    pub undeclared_paths: Vec<UndeclaredPath>,
}

/// What one worker was refused so far, and what a trace of it found. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::gateway) struct Refusals(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    tried: BTreeMap<String, u64>,
    paths: BTreeMap<String, u64>,
}

impl Refusals {
    /// What was refused so far, by what was tried.
    pub(in crate::gateway) fn list(&self) -> Vec<Refusal> {
        self.0.lock().tried.iter().map(|(tried, count)| Refusal { tried: tried.clone(), count: *count }).collect()
    }

    /// The undeclared paths so far.
    pub(in crate::gateway) fn paths(&self) -> Vec<UndeclaredPath> {
        self.0.lock().paths.iter().map(|(path, count)| UndeclaredPath { path: path.clone(), count: *count }).collect()
    }

    pub(super) fn add(&self, tried: String) {
        let (tried, count) = counted(&mut self.0.lock().tried, tried, KINDS, MORE);
        if count == 1 {
            tracing::warn!("{tried}: not declared, refused");
        }
    }

    pub(super) fn add_path(&self, path: String) {
        counted(&mut self.0.lock().paths, path, PATHS, MORE_PATHS);
    }
}

/// One more of it, or of those that are counted together; which one, and how many there are.
fn counted(kept: &mut BTreeMap<String, u64>, one: String, most: usize, more: &str) -> (String, u64) {
    let full = kept.len() >= most && !kept.contains_key(&one);
    let one = if full { more.to_owned() } else { one };
    let count = kept.entry(one.clone()).or_default();
    *count += 1;
    (one, *count)
}

/// What was tried, from the registers alone: what pointers show is the worker's to change.
pub(super) fn sentence(asked: &Asked) -> String {
    let first = asked.arguments[0];
    match asked.number {
        libc::SYS_execve | libc::SYS_execveat => "tried to start a program".to_owned(),
        libc::SYS_clone => "tried to make a process".to_owned(),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork | libc::SYS_vfork => "tried to make a process".to_owned(),
        libc::SYS_kill | libc::SYS_tgkill | libc::SYS_rt_sigqueueinfo | libc::SYS_rt_tgsigqueueinfo => {
            // A process id is an int in the lower half of the register.
            let to = u32::try_from(first & 0xFFFF_FFFF).unwrap_or_default().cast_signed();
            format!("tried to send a signal to process {to}")
        }
        libc::SYS_listen => "tried to accept connections".to_owned(),
        libc::SYS_socket => {
            let kind = i32::try_from(asked.arguments[1] & 0xF).unwrap_or_default();
            match (i32::try_from(first), kind) {
                (Ok(libc::AF_UNIX), _) => "tried to make a local socket".to_owned(),
                (Ok(libc::AF_INET | libc::AF_INET6), libc::SOCK_DGRAM) => "tried to use datagrams (UDP)".to_owned(),
                _ => format!("tried to make a socket of family {first}, type {kind}"),
            }
        }
        LOOK_UP => "tried to look up a name".to_owned(),
        other => format!("tried system call {other}"),
    }
}
