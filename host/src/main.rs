//! The one binary: daemon, client and worker.

use std::process::ExitCode;

use gatehouse_host::{cli, gateway};

fn main() -> ExitCode {
    // Before anything else: a worker has one thread and owns no descriptor while it gives up its rights.
    if gateway::is_worker() {
        return gateway::run_worker();
    }
    cli::run()
}
