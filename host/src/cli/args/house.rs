//! `gatehouse entity`, `state` and `control`: what can be typed of the things in the house.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId, StateAddress};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Entity {
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
pub(in crate::cli) enum State {
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
pub(in crate::cli) struct History {
    /// The state: INTEGRATION:ENTITY/STATE
    pub(in crate::cli) address: StateAddress,
    /// From when on: an age (30m, 1h30m, 7d), a date or a date with time
    #[arg(long, default_value = "1h", value_name = "WHEN")]
    pub(in crate::cli) since: String,
    /// Until when, in the same form [default: now]
    #[arg(long, value_name = "WHEN")]
    pub(in crate::cli) until: Option<String>,
    /// The most readings to print; the newest ones
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(in crate::cli) limit: u32,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub(in crate::cli) csv: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gatehouse control virtual-house:lamp/power on
  gatehouse control virtual-house:lamp/brightness 40 --payload '{\"transition_s\": 5}'")]
pub(in crate::cli) struct Control {
    /// The state: INTEGRATION:ENTITY/STATE
    pub(in crate::cli) address: StateAddress,
    /// The value: on, off, a number, a choice, text
    #[arg(allow_hyphen_values = true)]
    pub(in crate::cli) value: String,
    /// More for the plugin: a JSON object
    #[arg(long, value_name = "JSON")]
    pub(in crate::cli) payload: Option<String>,
}
