//! What a worker was refused: counted by what was tried, so that a loop of refusals costs one line.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::sys::{self, Asked, Verdict};

/// Different attempts that are kept of one worker; what goes beyond is counted together.
const KINDS: usize = 32;
/// What is counted together.
const MORE: &str = "tried other things that it may not do";

/// One thing that a worker tried and may not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// What was tried, as the rest of a sentence: `tried to start a program`.
    pub tried: String,
    /// How often.
    pub count: u64,
}

/// What one worker was refused so far. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::gateway) struct Refusals(Arc<Mutex<BTreeMap<String, u64>>>);

impl Refusals {
    /// What was refused so far, by what was tried.
    pub(in crate::gateway) fn list(&self) -> Vec<Refusal> {
        self.0.lock().iter().map(|(tried, count)| Refusal { tried: tried.clone(), count: *count }).collect()
    }

    fn add(&self, tried: String) {
        let mut kept = self.0.lock();
        let full = kept.len() >= KINDS && !kept.contains_key(&tried);
        let tried = if full { MORE.to_owned() } else { tried };
        let count = kept.entry(tried.clone()).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!("{tried}: not declared, refused");
        }
    }
}

/// Answers the questions of a worker's filter until its last thread is gone. Needs a tokio runtime with I/O.
pub(in crate::gateway) async fn answer(listener: OwnedFd, refusals: Refusals) {
    let listener = match sys::watch(Arc::new(listener)) {
        Ok(listener) => listener,
        Err(error) => {
            // Unanswered questions would hang the plugin: without the descriptor the kernel answers for the host.
            tracing::error!(%error, "a worker's filter cannot be answered: what it asks about is refused unrecorded");
            return;
        }
    };
    loop {
        let Ok(mut ready) = listener.readable().await else { return };
        match sys::has_asked(listener.get_ref()) {
            Ok(true) => {}
            Ok(false) => {
                ready.clear_ready();
                continue;
            }
            // Nobody is left who could ask.
            Err(_) => return,
        }
        match sys::next_asked(listener.get_ref()) {
            Ok(asked) => {
                refusals.add(sentence(&asked));
                sys::answer_asked(listener.get_ref(), asked.id, Verdict::Errno(libc::EPERM));
            }
            // It went while it asked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::debug!(%error, "a worker's filter has nothing more to ask");
                return;
            }
        }
    }
}

/// What was tried, from the registers alone: what pointers show is the worker's to change.
fn sentence(asked: &Asked) -> String {
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
        libc::SYS_socket => match i32::try_from(first) {
            Ok(libc::AF_UNIX) => "tried to make a local socket".to_owned(),
            Ok(libc::AF_NETLINK) => "tried to speak to the kernel's network (netlink)".to_owned(),
            _ => format!("tried to make a socket of family {first}, type {}", asked.arguments[1] & 0xF),
        },
        other => format!("tried system call {other}"),
    }
}
