//! `serve`: runs the daemon in the foreground, says where everything is and what to type, then what comes and goes.
//!
//! What it says goes to standard output, the log to standard error.

use std::path::Path;

use super::args::Serve;
use super::config;
use super::daemon::Daemon;
use super::failure::Failure;
use super::output::Output;
use crate::home::Home;
use crate::serve::{Ready, ServeError};

mod announce;

pub(super) fn run(home: &Home, wanted: &Serve, output: Output) -> Result<(), Failure> {
    let (file, optional) = match &wanted.config {
        Some(file) => (std::path::absolute(file).map_err(|error| Failure::io(file.display(), &error))?, false),
        None => (home.config_file(), true),
    };
    let config = config::load(&file, optional)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime cannot be started", &error))?;
    let daemon = Daemon::new(home);
    let on_ready = |ready: &Ready| {
        // A closed output is no reason to stop: the daemon serves without it.
        let _ = greet(ready, &file, &daemon, &output);
        tokio::spawn(announce::run(daemon.clone(), output));
    };
    let served = runtime.block_on(crate::serve::run(config, home.clone(), on_ready));
    served.map_err(|error| told(&error))
}

/// Where everything is, and the three commands to type next.
fn greet(ready: &Ready, config: &Path, daemon: &Daemon, output: &Output) -> Result<(), Failure> {
    let home = &ready.home;
    if output.json {
        return output.json_line(&serde_json::json!({
            "event": "ready", "pid": ready.pid, "home": home.root(), "plugins": home.plugins_dir(),
            "socket": ready.socket, "database": home.database(), "config": config,
        }));
    }
    output.line(greeting(ready, config, daemon))
}

fn greeting(ready: &Ready, config: &Path, daemon: &Daemon) -> String {
    let home = &ready.home;
    let note = if config.exists() { "" } else { "  (not there: defaults)" };
    let rows = [
        ("plugins", home.plugins_dir().display().to_string()),
        ("socket", ready.socket.display().to_string()),
        ("database", home.database().display().to_string()),
        ("config", format!("{}{note}", config.display())),
    ];
    let commands = [
        daemon.hints.command(&["plugin", "list"]),
        daemon.hints.command(&["integration", "activate", "system-monitor"]),
        daemon.hints.command(&["state", "watch"]),
    ];
    let rows: Vec<_> = rows.iter().map(|(name, value)| format!("  {name:9} {value}")).collect();
    format!(
        "Gatehouse {} serves {} (process {})\n{}\n\nNext, in another terminal:\n  {}\n\nCtrl-C stops it.\n",
        env!("CARGO_PKG_VERSION"),
        home.root().display(),
        ready.pid,
        rows.join("\n"),
        commands.join("\n  ")
    )
}

fn told(error: &ServeError) -> Failure {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let sentence = source.to_string();
        if !text.contains(&sentence) {
            text = format!("{text}: {sentence}");
        }
        cause = source.source();
    }
    Failure::failed(text)
}
