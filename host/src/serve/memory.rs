//! Memory that was freed goes back to the system: the allocator keeps what a peak took, each thread's arena its own.

use std::fs;
use std::time::Duration;

use crate::gateway::sys::{keep_freed_memory_below, release_freed_memory};

/// What an arena may keep of freed memory at its end, in bytes; larger blocks are mapped by themselves.
const KEPT: i32 = 1024 * 1024;

/// How often the memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// By how much it must have grown to be worth the milliseconds in which nobody else can allocate.
const WORTH_IT: u64 = 8 * 1024 * 1024;

/// Has freed memory kept in small parts only; for the start, before much is allocated.
pub(super) fn keep_little() {
    keep_freed_memory_below(KEPT);
}

/// Looks again and again, without end.
pub(super) async fn run() {
    let mut kept = anonymous_bytes();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = anonymous_bytes();
        if now < kept.saturating_add(WORTH_IT) {
            kept = kept.min(now);
            continue;
        }
        if let Err(error) = tokio::task::spawn_blocking(release_freed_memory).await {
            tracing::error!(%error, "freed memory could not be given back");
            return;
        }
        kept = anonymous_bytes();
        tracing::debug!(before = now, after = kept, "freed memory was given back to the system");
    }
}

/// What of this process is in memory and of no file: proc_pid_statm(5), `resident` less `shared`, which are pages.
fn anonymous_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split_ascii_whitespace().skip(1).map_while(|field| field.parse::<u64>().ok());
    let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    resident.saturating_sub(shared) * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_no_file_is_counted() {
        let before = anonymous_bytes();
        let block = vec![1_u8; 64 * 1024 * 1024];
        let after = anonymous_bytes();
        assert!(after >= before + 60 * 1024 * 1024, "{before} and {after} with {} more", block.len());
    }
}
