//! The command line: what can be typed, with its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use gatehouse_plugin_api::duration::{HOW_TO_WRITE, parse_ms};
use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId, StateAddress};

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
pub(super) enum Plugin {
    /// List every plugin file with its verdict
    List,
    /// Show what a plugin says of itself
    Show {
        /// The file's name, or its integration type
        plugin: String,
    },
    /// Say why a file has its verdict and what to do
    Why {
        /// The file's name, or its integration type
        plugin: String,
    },
    /// Inspect a file anywhere, without running or installing it; needs no daemon
    Inspect {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// List the versions of a plugin that are kept, and who runs which
    Versions {
        /// An integration, or an integration type
        plugin: String,
    },
    /// Go back to an earlier version and stay there
    #[command(after_help = "\
While the version in use is on trial, settings and data are what they were before it.

Examples:
  gatehouse plugin rollback hass
  gatehouse plugin rollback hass --to 1.4.2")]
    Rollback {
        /// An integration, or an integration type: all integrations of it
        plugin: String,
        /// A version, or the first digits of a SHA-256 [default: the version before]
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// Stay with the version in use, whatever file comes
    Pin {
        /// An integration, or an integration type: all integrations of it
        plugin: String,
    },
    /// Go on to the newest version
    Unpin {
        /// An integration, or an integration type: all integrations of it
        plugin: String,
    },
    /// Allow what a new version wants, and let it take over
    Allow {
        /// An integration, or an integration type: all integrations of it
        plugin: String,
    },
    /// Write a new plugin crate: settings, a poll, a control and a test that passes
    #[command(after_help = "\
Example:
  gatehouse plugin new weather-station
  cd weather-station && cargo test && cargo build --release")]
    New(PluginNew),
}

#[derive(Debug, Args)]
pub(super) struct PluginNew {
    /// The plugin's id and crate name: lower-case letters, digits, hyphens
    pub(super) name: String,
    /// Use the SDK of a checkout of Gatehouse instead of a copy in the crate's vendor folder
    #[arg(long, value_name = "CHECKOUT", value_hint = ValueHint::DirPath)]
    pub(super) path: Option<PathBuf>,
    /// The folder to make [default: NAME in the current folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Integration {
    /// List the integrations
    List,
    /// Show one integration: state, reason, settings
    #[command(after_help = "\
Examples:
  gatehouse integration show hass
  gatehouse integration show hass --diagnostics > hass.json    for whoever is asked for help")]
    Show {
        /// The integration
        id: IntegrationId,
        /// Print what helps to find a fault as JSON, with what the plugin says of itself; secrets are left out
        #[arg(long)]
        diagnostics: bool,
    },
    /// Set an integration up; asks on a terminal
    Activate(Activate),
    /// Switch an integration off; asks on a terminal
    Deactivate(Deactivate),
    /// Show or use a page of the integration's own
    Manage(Manage),
    /// Stop an integration for now; it stays set up
    Pause {
        /// The integration
        id: IntegrationId,
    },
    /// Start a paused integration, or try one again at once
    Resume {
        /// The integration
        id: IntegrationId,
    },
    /// Run an integration in the daemon again, after a crash of the daemon moved it to a worker
    MoveBack {
        /// The integration
        id: IntegrationId,
    },
    /// Read the upstream's entities again
    Synchronize {
        /// The integration
        id: IntegrationId,
    },
    /// Log more or less of an integration, at once and until the daemon restarts
    #[command(after_help = "\
Examples:
  gatehouse integration log-level hass debug
  gatehouse integration log-level hass warn,hass_plugin::socket=trace
  gatehouse integration log-level hass default             as the configuration has it

For good: log = \"debug\" under [integration.hass] in gatehouse.toml.")]
    LogLevel {
        /// The integration
        id: IntegrationId,
        /// A level (off, error, warn, info, debug, trace), MODULE=LEVEL pairs with commas, or default
        filter: String,
    },
    /// Change settings
    #[command(after_help = "\
Examples:
  gatehouse integration set hass poll_interval=30s
  gatehouse integration set hass --set-file token=/run/secrets/hass")]
    Set(Set),
}

/// How answers are given without being asked.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Answers {
    /// Answer a field; KEY=- reads standard input (for one field); STEP.KEY=VALUE when several steps have the field
    #[arg(long = "set", value_name = "[STEP.]KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Answer a field with a file's content: the way for secrets
    #[arg(long, value_name = "[STEP.]KEY=PATH")]
    pub(super) set_file: Vec<String>,
    /// Choose an option of a menu
    #[arg(long, value_name = "[STEP.]OPTION")]
    pub(super) choose: Vec<String>,
    /// Ask nothing: take the defaults and confirm
    #[arg(long, short)]
    pub(super) yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse integration activate system-monitor
  gatehouse integration activate hass --set api_base_url=http://pi:8123 \\
      --set-file api_token=token.txt --yes
  gatehouse integration activate hass --id hass-cabin

A secret is never given by --set KEY=VALUE, which other users of the machine can see.
Use --set-file KEY=PATH or --set KEY=- (standard input), or wait to be asked.")]
pub(super) struct Activate {
    /// The integration type, or the id of an integration to set up anew
    pub(super) integration_type: String,
    /// The id of the new integration; needed for a second one of a type
    #[arg(long)]
    pub(super) id: Option<IntegrationId>,
    /// Give up what was begun elsewhere and left open, and begin anew
    #[arg(long)]
    pub(super) take_over: bool,
    #[command(flatten)]
    pub(super) answers: Answers,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse integration deactivate hass                 asks; keeps history and what you made
  gatehouse integration deactivate hass --safe --yes    the same without asking
  gatehouse integration deactivate hass --purge --yes   deletes everything of it")]
pub(super) struct Deactivate {
    /// The integration
    pub(super) id: IntegrationId,
    /// Give up what was begun elsewhere and left open, and begin anew
    #[arg(long)]
    pub(super) take_over: bool,
    /// Keep history and what a person made; settings and secrets are erased (this is the default)
    #[arg(long, conflicts_with_all = ["all", "purge"])]
    pub(super) safe: bool,
    /// Delete entities, history and data too; asks for the id to be typed
    #[arg(long)]
    pub(super) all: bool,
    /// As --all, without the id being typed; with --yes nothing is asked at all
    #[arg(long)]
    pub(super) purge: bool,
    /// Keep settings and secrets for the next activation
    #[arg(long, conflicts_with_all = ["all", "purge"])]
    pub(super) keep_settings: bool,
    #[command(flatten)]
    pub(super) answers: Answers,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse integration manage virtual-house
  gatehouse integration manage virtual-house page=rooms
  gatehouse integration manage virtual-house page=rooms --post name=Attic")]
pub(super) struct Manage {
    /// The integration
    pub(super) id: IntegrationId,
    /// Parameters of the page
    #[arg(value_name = "KEY=VALUE")]
    pub(super) params: Vec<String>,
    /// Send a form: its fields
    #[arg(long, value_name = "KEY=VALUE", num_args = 0..)]
    pub(super) post: Option<Vec<String>>,
    /// Print the page's HTML instead of text
    #[arg(long)]
    pub(super) html: bool,
    /// Where to save a file that the page answers with [default: its own name, here]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) save: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The integration
    pub(super) id: IntegrationId,
    /// Settings to change; KEY=- reads standard input
    #[arg(value_name = "KEY=VALUE")]
    pub(super) values: Vec<String>,
    /// Set to a file's content: the way for secrets
    #[arg(long, value_name = "KEY=PATH")]
    pub(super) set_file: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Entity {
    /// List the entities
    List {
        /// Only those of this integration
        #[arg(long, value_name = "ID")]
        integration: Option<IntegrationId>,
        /// Those too that their integration no longer has
        #[arg(long)]
        all: bool,
    },
    /// Show one entity with its states
    Show {
        /// The entity: INTEGRATION:ENTITY
        address: EntityAddress,
    },
    /// Save an entity's image as it is now: a camera's, say
    #[command(after_help = "\
Examples:
  gatehouse entity snapshot virtual-house:door-camera
  gatehouse entity snapshot virtual-house:door-camera --out door.svg
  gatehouse entity snapshot virtual-house:door-camera --out - | display")]
    Snapshot {
        /// The entity: INTEGRATION:ENTITY
        address: EntityAddress,
        /// Where to save it; - is standard output [default: INTEGRATION-ENTITY with the image's ending, here]
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
    },
    /// Give an entity a name of your own; an empty one takes the plugin's again
    Rename {
        /// The entity: INTEGRATION:ENTITY
        address: EntityAddress,
        /// The name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum State {
    /// Print states with their values
    Get {
        /// Addresses, or patterns with * (all when there are none)
        #[arg(value_name = "PATTERN")]
        patterns: Vec<String>,
    },
    /// Follow states as they change
    #[command(after_help = "\
Examples:
  gatehouse state watch
  gatehouse state watch system-monitor 'virtual-house:*/power'
  gatehouse state watch --json | jq .value")]
    Watch {
        /// Addresses, entities, integrations, or patterns with * (all when there are none)
        #[arg(value_name = "PATTERN")]
        patterns: Vec<String>,
    },
    /// Print what a state was
    #[command(after_help = "\
Examples:
  gatehouse state history system-monitor:processor/usage --since 1h
  gatehouse state history virtual-house:lamp/power --since 2026-11-24 --csv")]
    History(History),
}

#[derive(Debug, Args)]
pub(super) struct History {
    /// The state: INTEGRATION:ENTITY/STATE
    pub(super) address: StateAddress,
    /// From when on: an age (30m, 1h30m, 7d), a date or a date with time
    #[arg(long, default_value = "1h", value_name = "WHEN")]
    pub(super) since: String,
    /// Until when, in the same form [default: now]
    #[arg(long, value_name = "WHEN")]
    pub(super) until: Option<String>,
    /// The most readings to print; the newest ones
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) limit: u32,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(super) csv: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse control virtual-house:lamp/power on
  gatehouse control virtual-house:lamp/brightness 40 --payload '{\"transition_s\": 5}'")]
pub(super) struct Control {
    /// The state: INTEGRATION:ENTITY/STATE
    pub(super) address: StateAddress,
    /// The value: on, off, a number, a choice, text
    #[arg(allow_hyphen_values = true)]
    pub(super) value: String,
    /// More for the plugin: a JSON object
    #[arg(long, value_name = "JSON")]
    pub(super) payload: Option<String>,
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
