//! `serve`: runs the daemon in the foreground, says where everything is and what to type, then what comes and goes.
//!
//! What it says goes to standard output, the log to standard error.

mod announce;
mod greet;

use super::args::Serve;
use super::config;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::Output;
use crate::causes::with_causes;
use crate::home::Home;
use crate::serve::{Ready, ServeError};

/// The fewest threads that serve.
const THREADS: usize = 4;

pub(super) fn run(home: &Home, wanted: &Serve, output: Output) -> Result<(), Failure> {
    let (file, optional) = match &wanted.config {
        Some(file) => (std::path::absolute(file).map_err(|error| Failure::io(file.display(), &error))?, false),
        None => (home.config_file(), true),
    };
    let config = config::load(&file, optional)?;
    // More than there are cores: work of a millisecond keeps nobody waiting, the kernel shares the cores out.
    let threads = std::thread::available_parallelism().map_or(THREADS, |cores| cores.get().max(THREADS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime cannot be started", &error))?;
    let daemon = Daemon::new(home);
    let on_ready = |ready: &Ready| {
        let said = announce::start(ready.clone(), file, daemon, output);
        said.unwrap_or_else(|error| tracing::error!(%error, "what comes and goes will not be announced"));
    };
    let served = runtime.block_on(crate::serve::run(config, home.clone(), on_ready));
    // Dropping the runtime would wait for work that was given up.
    runtime.shutdown_background();
    served.map_err(|error| told(&error))
}

fn told(error: &ServeError) -> Failure {
    Failure::failed(with_causes(error))
}
