//! Admin pages of a plugin's own: one method for all of them, GET and POST, templates shipped in the plugin file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a page was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// To look.
    #[default]
    Get,
    /// To change something.
    Post,
}

/// One request for a page.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ManageRequest {
    /// To look or to change.
    #[serde(default)]
    pub method: Method,
    /// The free parameters of the address.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// What a form sent; empty for GET.
    #[serde(default)]
    pub form: BTreeMap<String, String>,
}

/// What to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManageReply {
    /// A template of the plugin's, rendered by the host with this context (auto-escaped, sandboxed, bounded).
    Template {
        /// The template's name in the plugin (`panes/rooms.html`).
        name: String,
        /// The template's variables: a JSON object.
        context: serde_json::Value,
    },
    /// Another page of this plugin's: its parameters.
    Redirect {
        /// The parameters of the page to show instead.
        params: BTreeMap<String, String>,
    },
    /// A file to save.
    File {
        /// The suggested file name.
        name: String,
        /// The media type (`text/csv`).
        media_type: String,
        /// The content.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// One sentence.
    Message {
        /// Whether it tells of a failure.
        error: bool,
        /// The sentence.
        text: String,
    },
}

/// Asks for a template's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaneRequest {
    /// The template's name.
    pub name: String,
}

/// A template's source, when the plugin has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaneReply {
    /// The source, in minijinja's (Jinja2's) syntax.
    pub source: Option<String>,
}
