//! Where everything is, and the commands to type next: commands that work with what is in the plugins folder now.

use std::path::{Path, PathBuf};

use crate::api::types::Plugin;
use crate::cli::failure::Failure;
use crate::cli::hint::{Hints, quoted};
use crate::cli::output::Output;
use crate::plugin::Decision;
use crate::serve::Ready;

/// The plugin file that a build puts beside the binary.
const BUNDLED: &str = "libsystem_monitor.so";

pub(super) fn say(
    ready: &Ready,
    config: &Path,
    plugins: &[Plugin],
    hints: &Hints,
    output: &Output,
) -> Result<(), Failure> {
    let home = &ready.home;
    if output.json {
        return output.json_line(&serde_json::json!({
            "event": "ready", "pid": ready.pid, "home": home.root(), "plugins": home.plugins_dir(),
            "socket": ready.socket, "database": home.database(), "config": config,
        }));
    }
    let beside =
        std::env::current_exe().ok().map(|binary| binary.with_file_name(BUNDLED)).filter(|file| file.is_file());
    let there = match plugins.iter().filter(|plugin| plugin.decision == Decision::Accepted).collect::<Vec<_>>() {
        usable if usable.is_empty() => There::Nothing { bundled: beside },
        usable => {
            let fresh = usable.into_iter().filter(|plugin| plugin.integrations.is_empty());
            let mut ids = fresh.filter_map(|plugin| plugin.manifest.as_ref()).map(|manifest| manifest.id.to_string());
            There::Plugins { fresh: ids.next() }
        }
    };
    output.line(greeting(ready, config, &next(&there, &home.plugins_dir(), hints)))
}

fn greeting(ready: &Ready, config: &Path, next: &str) -> String {
    let home = &ready.home;
    let note = if config.exists() { "" } else { "  (not there: defaults)" };
    let rows = [
        ("plugins", home.plugins_dir().display().to_string()),
        ("socket", ready.socket.display().to_string()),
        ("database", home.database().display().to_string()),
        ("config", format!("{}{note}", config.display())),
    ];
    let rows: Vec<_> = rows.iter().map(|(name, value)| format!("  {name:9} {value}")).collect();
    format!(
        "Gatehouse {} serves {} (process {})\n{}\n\n{next}\n\nCtrl-C stops it.\n",
        env!("CARGO_PKG_VERSION"),
        home.root().display(),
        ready.pid,
        rows.join("\n"),
    )
}

/// What there is to begin with.
enum There {
    /// No usable file; perhaps one beside the binary that can be copied.
    Nothing { bundled: Option<PathBuf> },
    /// Usable files; perhaps a type that has no integration yet.
    Plugins { fresh: Option<String> },
}

/// What to type next: a plugin is copied there, then activated, then watched.
fn next(there: &There, folder: &Path, hints: &Hints) -> String {
    let list = hints.command(&["plugin", "list"]);
    match there {
        There::Nothing { bundled } => {
            let path = |path: &Path| quoted(&path.to_string_lossy());
            let (what, how) = match bundled {
                Some(file) => (
                    "No plugin is here yet. Copy one into the folder, in another terminal:",
                    format!("cp {} {}/", path(file), path(folder)),
                ),
                None => (
                    "No plugin is here yet. Copy a plugin's .so file into the folder, or begin one of your own:",
                    hints.command(&["plugin", "new", "my-plugin"]),
                ),
            };
            format!("{what}\n  {how}\nIt is announced here a moment later, with what to do next.")
        }
        There::Plugins { fresh } => {
            let second = match fresh {
                Some(id) => hints.command(&["integration", "activate", id]),
                None => hints.command(&["integration", "list"]),
            };
            let watch = hints.command(&["state", "watch"]);
            format!("Next, in another terminal:\n  {list}\n  {second}\n  {watch}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    fn told(there: &There) -> String {
        let home = Home::at("/srv/house");
        let hints = Hints::new(&home);
        next(there, &home.plugins_dir(), &hints).replace(&hints.command(&[]), "GATEHOUSE")
    }

    #[test]
    fn a_plugin_that_is_there_is_named() {
        let text = told(&There::Plugins { fresh: Some("virtual-house".into()) });
        assert!(text.contains("GATEHOUSE integration activate virtual-house\n"), "{text}");
        let text = told(&There::Plugins { fresh: None });
        assert!(text.contains("GATEHOUSE integration list\n") && !text.contains("activate"), "{text}");
    }

    #[test]
    fn an_empty_folder_is_told_how_to_fill_it() {
        let text = told(&There::Nothing { bundled: Some("/opt/gate house/libsystem_monitor.so".into()) });
        assert!(text.contains("\n  cp '/opt/gate house/libsystem_monitor.so' /srv/house/plugins/\n"), "{text}");
        assert!(!text.contains("activate"), "{text}");
        let text = told(&There::Nothing { bundled: None });
        assert!(text.contains("GATEHOUSE plugin new my-plugin\n"), "{text}");
    }
}
