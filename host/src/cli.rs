//! The commands, `noun verb`: a client of the control socket, and the daemon's own `serve`.
//!
//! One file a noun. A command returns `Result<(), Failure>`; what failed is printed once, here, and becomes the exit
//! code: 0 done, 1 could not be done, 2 asked wrongly.

mod activate;
mod args;
mod audit;
mod config;
mod control;
mod crash;
mod daemon;
mod entity;
mod explain;
mod failure;
mod flow;
mod given;
mod hint;
mod history;
mod integration;
mod keyboard;
mod log;
mod manage;
mod output;
mod pattern;
mod plugin;
#[cfg(test)]
mod samples;
mod save;
mod scaffold;
mod screen;
mod serve;
mod spark;
mod state;
mod status;
mod table;
mod top;
mod trust;
mod version;
mod watch;
mod when;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use daemon::Daemon;
use failure::{FAILED, Failure, USAGE};
use output::Output;

use crate::home::Home;

/// Parses the command line, does what it says and tells how it went.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // There is nobody to tell when the output is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let output = Output::new(&cli.global);
    let error_color = output::error_color(&cli.global);
    match dispatch(cli, output) {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure @ Failure::Told { code, .. }) => {
            output::print_failure(error_color, &failure);
            ExitCode::from(code)
        }
        Err(Failure::Silent { code }) => ExitCode::from(code),
    }
}

fn dispatch(cli: Cli, output: Output) -> Result<(), Failure> {
    if let Command::Completion { shell } = cli.command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "gatehouse", &mut script);
        return output.text(&String::from_utf8_lossy(&script));
    }
    let home = Home::find(cli.global.home.as_deref()).map_err(Failure::usage)?;
    match cli.command {
        Command::Serve(serve) => serve::run(&home, &serve, output),
        Command::Config(config) => config::run(&home, config, &output),
        Command::Plugin(args::Plugin::New(new)) => scaffold::run(&home, &new, &output),
        Command::Plugin(args::Plugin::Inspect { file }) => plugin::inspect(&home, &file, &output),
        command => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| Failure::io("the runtime cannot be started", &error))?;
            runtime.block_on(ask(command, &Daemon::new(&home), output))
        }
    }
}

/// The commands that ask the daemon.
async fn ask(command: Command, daemon: &Daemon, output: Output) -> Result<(), Failure> {
    match command {
        Command::Status => status::run(daemon, &output).await,
        Command::Plugin(args::Plugin::List) => plugin::list(daemon, &output).await,
        Command::Plugin(args::Plugin::Show { plugin }) => plugin::show(daemon, &plugin, &output).await,
        Command::Plugin(args::Plugin::Why { plugin }) => plugin::why(daemon, &plugin, &output).await,
        Command::Plugin(args::Plugin::Versions { plugin }) => version::versions(daemon, &plugin, &output).await,
        Command::Plugin(args::Plugin::Rollback { plugin, to }) => {
            version::told(&daemon.plugin_rollback(&plugin, to.as_deref()).await?, &output)
        }
        Command::Plugin(args::Plugin::Pin { plugin }) => version::told(&daemon.plugin_pin(&plugin).await?, &output),
        Command::Plugin(args::Plugin::Unpin { plugin }) => version::told(&daemon.plugin_unpin(&plugin).await?, &output),
        Command::Plugin(args::Plugin::Allow { plugin }) => version::told(&daemon.plugin_allow(&plugin).await?, &output),
        Command::Integration(args::Integration::Activate(activate)) => {
            activate::activate(daemon, &activate, &output).await
        }
        Command::Integration(args::Integration::Deactivate(deactivate)) => {
            activate::deactivate(daemon, &deactivate, &output).await
        }
        Command::Integration(args::Integration::Manage(manage)) => manage::run(daemon, &manage, &output).await,
        Command::Integration(integration) => integration::run(daemon, &integration, &output).await,
        Command::Entity(entity) => entity::run(daemon, entity, &output).await,
        Command::State(args::State::Get { patterns }) => state::get(daemon, patterns, &output).await,
        Command::State(args::State::Watch { patterns }) => watch::run(daemon, patterns, output).await,
        Command::State(args::State::History(history)) => history::run(daemon, &history, &output).await,
        Command::Explain { id } => explain::run(daemon, &id, &output).await,
        Command::Crash(crash) => crash::run(daemon, &crash, &output).await,
        Command::Control(control) => control::run(daemon, &control, &output).await,
        Command::Trust(trust) => trust::run(daemon, trust, &output).await,
        Command::Audit(audit) => audit::run(daemon, &audit, &output).await,
        Command::Top(top) => top::run(daemon, &top, output).await,
        Command::Metrics => output.text(&daemon.metrics().await?),
        Command::Log(log) => log::run(daemon, &log, &output).await,
        Command::Serve(_)
        | Command::Config(_)
        | Command::Completion { .. }
        | Command::Plugin(args::Plugin::New(_) | args::Plugin::Inspect { .. }) => Err(Failure::Silent { code: FAILED }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
