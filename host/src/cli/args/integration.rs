//! `gatehouse integration`: what can be typed of integrations.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use gatehouse_plugin_api::ids::IntegrationId;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Integration {
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
pub(in crate::cli) struct Answers {
    /// Answer a field; KEY=- reads standard input (for one field); STEP.KEY=VALUE when several steps have the field
    #[arg(long = "set", value_name = "[STEP.]KEY=VALUE")]
    pub(in crate::cli) set: Vec<String>,
    /// Answer a field with a file's content: the way for secrets
    #[arg(long, value_name = "[STEP.]KEY=PATH")]
    pub(in crate::cli) set_file: Vec<String>,
    /// Choose an option of a menu
    #[arg(long, value_name = "[STEP.]OPTION")]
    pub(in crate::cli) choose: Vec<String>,
    /// Ask nothing: take the defaults and confirm
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
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
pub(in crate::cli) struct Activate {
    /// The integration type, or the id of an integration to set up anew
    pub(in crate::cli) integration_type: String,
    /// The id of the new integration; needed for a second one of a type
    #[arg(long)]
    pub(in crate::cli) id: Option<IntegrationId>,
    /// Give up what was begun elsewhere and left open, and begin anew
    #[arg(long)]
    pub(in crate::cli) take_over: bool,
    #[command(flatten)]
    pub(in crate::cli) answers: Answers,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse integration deactivate hass                 asks; keeps history and what you made
  gatehouse integration deactivate hass --safe --yes    the same without asking
  gatehouse integration deactivate hass --purge --yes   deletes everything of it")]
pub(in crate::cli) struct Deactivate {
    /// The integration
    pub(in crate::cli) id: IntegrationId,
    /// Give up what was begun elsewhere and left open, and begin anew
    #[arg(long)]
    pub(in crate::cli) take_over: bool,
    /// Keep history and what a person made; settings and secrets are erased (this is the default)
    #[arg(long, conflicts_with_all = ["all", "purge"])]
    pub(in crate::cli) safe: bool,
    /// Delete entities, history and data too; asks for the id to be typed
    #[arg(long)]
    pub(in crate::cli) all: bool,
    /// As --all, without the id being typed; with --yes nothing is asked at all
    #[arg(long)]
    pub(in crate::cli) purge: bool,
    /// Keep settings and secrets for the next activation
    #[arg(long, conflicts_with_all = ["all", "purge"])]
    pub(in crate::cli) keep_settings: bool,
    #[command(flatten)]
    pub(in crate::cli) answers: Answers,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse integration manage virtual-house
  gatehouse integration manage virtual-house page=rooms
  gatehouse integration manage virtual-house page=rooms --post name=Attic")]
pub(in crate::cli) struct Manage {
    /// The integration
    pub(in crate::cli) id: IntegrationId,
    /// Parameters of the page
    #[arg(value_name = "KEY=VALUE")]
    pub(in crate::cli) params: Vec<String>,
    /// Send a form: its fields
    #[arg(long, value_name = "KEY=VALUE", num_args = 0..)]
    pub(in crate::cli) post: Option<Vec<String>>,
    /// Print the page's HTML instead of text
    #[arg(long)]
    pub(in crate::cli) html: bool,
    /// Where to save a file that the page answers with [default: its own name, here]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) save: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Set {
    /// The integration
    pub(in crate::cli) id: IntegrationId,
    /// Settings to change; KEY=- reads standard input
    #[arg(value_name = "KEY=VALUE")]
    pub(in crate::cli) values: Vec<String>,
    /// Set to a file's content: the way for secrets
    #[arg(long, value_name = "KEY=PATH")]
    pub(in crate::cli) set_file: Vec<String>,
}
