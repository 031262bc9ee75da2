//! Plugin files: what was decided about each, and whether their folder can be used.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::App;
use super::status::shown;
use super::view::{Plugin, PluginsFolder};
use crate::integration::OperationError;
use crate::nearest::did_you_mean;
use crate::plugin::{Decision, Verdict};

impl App {
    /// Every file ever seen with its verdict, by file name. Waits for what was dropped just now, a second at most.
    pub async fn plugin_list(&self) -> Vec<Plugin> {
        self.ground().catalog.settle().await;
        self.ground().catalog.verdicts().iter().map(|verdict| self.plugin_of(verdict)).collect()
    }

    /// The verdict of a file, by its name or by the integration type it provides. Waits like [`Self::plugin_list`].
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub async fn plugin_get(&self, file_or_id: &str) -> Result<Plugin, OperationError> {
        let catalog = &self.ground().catalog;
        catalog.settle().await;
        if let Some(verdict) = catalog.verdict(file_or_id) {
            return Ok(self.plugin_of(&verdict));
        }
        let verdicts = catalog.verdicts();
        let ids = verdicts.iter().filter_map(|verdict| Some(verdict.manifest.as_ref()?.id.as_str()));
        let names = verdicts.iter().map(|verdict| verdict.file_name.as_str());
        let hint = did_you_mean(file_or_id, names.chain(ids));
        Err(OperationError::NotFound { what: format!("the plugin {file_or_id:?}"), hint })
    }

    pub(super) fn plugin_of(&self, verdict: &Verdict) -> Plugin {
        let mut plugin = Plugin::from(verdict);
        if let (Decision::Accepted, Some(manifest)) = (verdict.decision, &verdict.manifest) {
            let integrations = self.integrations().list();
            let of_type = integrations.iter().filter(|view| view.integration_type == manifest.id);
            plugin.integrations = of_type.map(|view| view.id.clone()).collect();
            plugin.problem = verdict.sha256.as_deref().and_then(|sha256| self.integrations().launch_problem(sha256));
        }
        plugin
    }

    pub(super) fn plugins_folder_get(&self) -> PluginsFolder {
        let path = self.ground().home.plugins_dir();
        let problem = folder_problem(&path).unwrap_or_default();
        PluginsFolder { path: shown(&path), usable: problem.is_empty(), problem }
    }
}

/// What keeps files in the folder from being taken, and what to do.
fn folder_problem(path: &Path) -> Option<String> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("{shown} is not there: make it, and put plugin files into it"))
        }
        Err(error) => Some(format!("{shown} cannot be read ({error}): make it readable for the daemon's user")),
        Ok(metadata) if !metadata.is_dir() => Some(format!("{shown} is not a folder: move it away and make one")),
        Ok(metadata) if metadata.permissions().mode() & 0o002 != 0 => {
            Some(format!("{shown} can be written by every user, so nothing in it is trusted: chmod o-w {shown}"))
        }
        Ok(_) => fs::read_dir(path)
            .err()
            .map(|error| format!("{shown} cannot be listed ({error}): make it readable for the daemon's user")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_folder_is_explained() {
        let folder = tempfile::tempdir().expect("a folder");
        let plugins = folder.path().join("plugins");
        assert!(folder_problem(&plugins).is_some_and(|problem| problem.contains("is not there")));
        fs::create_dir(&plugins).expect("made");
        fs::set_permissions(&plugins, fs::Permissions::from_mode(0o755)).expect("closed");
        assert_eq!(folder_problem(&plugins), None);
        fs::set_permissions(&plugins, fs::Permissions::from_mode(0o777)).expect("opened");
        assert!(folder_problem(&plugins).is_some_and(|problem| problem.contains("chmod o-w")));
    }
}
