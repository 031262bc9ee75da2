//! The command line: what can be typed, with its help.

mod house;
mod integration;
mod plugin;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use gatehouse_plugin_api::duration::{HOW_TO_WRITE, parse_ms};
use gatehouse_plugin_api::ids::IntegrationId;

pub(super) use self::house::{Control, Entity, History, State};
pub(super) use self::integration::{Activate, Answers, Deactivate, Integration, Manage, Set};
pub(super) use self::plugin::{Plugin, PluginNew};

/// Home integrations as plugins that come, run and go without a restart.
#[derive(Debug, Parser)]
#[command(name = "gatehouse", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  gatehouse serve                                  run the daemon here
  gatehouse integration activate system-monitor    set an integration up
  gatehouse state watch                            see what happens in the house
  gatehouse control virtual-house:lamp/power on    switch something")]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// The home folder [default: $XDG_STATE_HOME/gatehouse, else ~/.local/state/gatehouse]
    #[arg(long, global = true, env = "GATEHOUSE_HOME", value_name = "PATH", value_hint = ValueHint::DirPath, hide_env_values = true)]
    pub(super) home: Option<PathBuf>,
    /// Print JSON; commands that go on print one object a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// When to print in colour; NO_COLOR switches it off as well
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorChoice,
}

/// When to print in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon in the foreground
    Serve(Serve),
    /// Show how the daemon is and where its things are
    Status,
    /// Plugin files: what is there, why a file was refused, how to begin one
    #[command(subcommand)]
    Plugin(Plugin),
    /// Integrations: set up, look at, pause, change, switch off
    #[command(subcommand)]
    Integration(Integration),
    /// Entities: the things in the house
    #[command(subcommand)]
    Entity(Entity),
    /// States of entities: their values now and before
    #[command(subcommand)]
    State(State),
    /// Set a controllable state
    Control(Control),
    /// Which plugins are let in: trusted keys and files, revoked ones
    #[command(subcommand)]
    Trust(Trust),
    /// Show who changed what
    Audit(Audit),
    /// Say why an integration is as it is, and what you can do
    #[command(after_help = "Example:\n  gatehouse explain hass")]
    Explain {
        /// The integration
        id: IntegrationId,
    },
    /// Crashes of plugins: where, in which call, with what
    #[command(subcommand)]
    Crash(Crash),
    /// Show the daemon's log
    Log(Log),
    /// Show what each integration costs: processor, memory, calls, readings
    Top(Top),
    /// Print all counters in the form that Prometheus reads
    #[command(after_help = "\
Example, for the text files that node_exporter reads:
  gatehouse metrics > /var/lib/node_exporter/gatehouse.prom.new &&
    mv /var/lib/node_exporter/gatehouse.prom.new /var/lib/node_exporter/gatehouse.prom")]
    Metrics,
    /// The configuration file
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  gatehouse completion bash > ~/.local/share/bash-completion/completions/gatehouse"
    )]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Another configuration file than gatehouse.toml in the home
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Trust {
    /// List what is trusted and what is revoked
    List,
    /// Trust a key, or list a file; what was revoked is so no longer
    #[command(after_help = "\
Examples:
  gatehouse trust add minisign.pub --note 'our build server'
  gatehouse trust add ~/Downloads/libweather.so")]
    Add {
        /// A minisign public key or its .pub file; a plugin file or its SHA-256
        #[arg(value_name = "KEY|HASH|FILE", value_hint = ValueHint::FilePath)]
        what: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Revoke a key or a file: what runs of it is stopped, whatever the policy
    #[command(after_help = "\
Examples:
  gatehouse trust revoke E7620F1842B4E81F --note 'lost with a laptop'
  gatehouse trust revoke libweather.so")]
    Revoke {
        /// A minisign public key, its id or its .pub file; a plugin file or its SHA-256
        #[arg(value_name = "KEY|HASH|FILE", value_hint = ValueHint::FilePath)]
        what: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse audit --since 7d
  gatehouse audit --user ann --operation state_control --json")]
pub(super) struct Audit {
    /// Only changes of this user, by name or number
    #[arg(long, value_name = "USER")]
    pub(super) user: Option<String>,
    /// Only this operation: integration_pause, state_control, …
    #[arg(long, value_name = "NAME")]
    pub(super) operation: Option<String>,
    /// Only changes of this: an integration, an address, a key
    #[arg(long, value_name = "TARGET")]
    pub(super) target: Option<String>,
    /// From when on: an age (30m, 1h30m, 7d), a date or a date with time
    #[arg(long, value_name = "WHEN")]
    pub(super) since: Option<String>,
    /// Until when, in the same form
    #[arg(long, value_name = "WHEN")]
    pub(super) until: Option<String>,
    /// The most changes to print; the newest ones
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Sorted by cost; q ends. LOST is what was refused or dropped of readings, calls and log lines.
Examples:
  gatehouse top
  gatehouse top --once
  gatehouse top --json --every 5s | jq '.integrations[0].id'")]
pub(super) struct Top {
    /// Print one look and end; so it is without a terminal and with --json
    #[arg(long)]
    pub(super) once: bool,
    /// Between two looks
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = span)]
    pub(super) every: Duration,
    /// With memory that several processes share counted by each one's part; takes the kernel longer
    #[arg(long)]
    pub(super) proportional: bool,
}

/// A span of time as people write it.
fn span(text: &str) -> Result<Duration, String> {
    parse_ms(text).filter(|ms| *ms > 0).map(Duration::from_millis).ok_or_else(|| HOW_TO_WRITE.to_owned())
}

#[derive(Debug, Subcommand)]
pub(super) enum Crash {
    /// List crashes, the latest first; equal ones are one
    List {
        /// Only those of this integration
        #[arg(long, value_name = "ID")]
        integration: Option<IntegrationId>,
    },
    /// Show one crash with the last lines of the log
    Show {
        /// Its number
        id: i64,
    },
}

#[derive(Debug, Args)]
pub(super) struct Log {
    /// Go on as lines come
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Only lines about this integration
    #[arg(long, value_name = "ID")]
    pub(super) integration: Option<IntegrationId>,
    /// The least level to show
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(super) level: Level,
    /// How many of the newest lines to begin with
    #[arg(long, short = 'n', default_value_t = 200, value_name = "N")]
    pub(super) lines: u32,
}

/// A level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Print the values in force, each key with its meaning
    Show {
        /// The file [default: gatehouse.toml in the home]
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
    /// Find every mistake in a configuration file
    Check {
        /// The file [default: gatehouse.toml in the home]
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
}
