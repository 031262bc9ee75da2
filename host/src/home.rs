//! The home: the one folder that holds plugins, staged copies, data, database, key, configuration and socket.

use std::path::{Path, PathBuf};

/// Where everything is. The paths need not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// A home at an absolute path.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a person drops plugin files.
    pub fn plugins_dir(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The content-addressed store of staged copies (mode 0700).
    pub fn staging_dir(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// The folder of an integration's own.
    pub fn data_dir(&self, integration: &gatehouse_plugin_api::ids::IntegrationId) -> PathBuf {
        self.root.join("data").join(integration.as_str())
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("gatehouse.db")
    }

    /// The sealing key (mode 0600).
    pub fn key_file(&self) -> PathBuf {
        self.root.join("gatehouse.key")
    }

    /// The configuration.
    pub fn config_file(&self) -> PathBuf {
        self.root.join("gatehouse.toml")
    }

    /// The control socket, when the path is short enough for one.
    pub fn socket(&self) -> PathBuf {
        self.root.join("gatehouse.sock")
    }
}
