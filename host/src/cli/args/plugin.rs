//! `gatehouse plugin`: what can be typed of plugin files.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Plugin {
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
pub(in crate::cli) struct PluginNew {
    /// The plugin's id and crate name: lower-case letters, digits, hyphens
    pub(in crate::cli) name: String,
    /// Use the SDK of a checkout of Gatehouse instead of a copy in the crate's vendor folder
    #[arg(long, value_name = "CHECKOUT", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) path: Option<PathBuf>,
    /// The folder to make [default: NAME in the current folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) dir: Option<PathBuf>,
}
