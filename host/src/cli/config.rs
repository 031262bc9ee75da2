//! `config show` and `config check`: the configuration file, without a daemon.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::args;
use super::failure::{FAILED, Failure};
use super::output::{Output, Tone};
use crate::config::{Config, ConfigError, show};
use crate::home::Home;

pub(super) fn run(home: &Home, command: args::Config, output: &Output) -> Result<(), Failure> {
    match command {
        args::Config::Show { file } => {
            let (path, optional) = chosen(home, file)?;
            let config = load(&path, optional)?;
            if output.json {
                return output.json(&json!({ "file": path, "exists": path.exists(), "config": config }));
            }
            let note = if path.exists() { "" } else { " (not there: these are the defaults)" };
            output.line(format!("# {}{note}\n", path.display()))?;
            output.text(&show(&config))
        }
        args::Config::Check { file } => {
            let (path, optional) = chosen(home, file)?;
            match Config::load(&path, optional) {
                Ok(_) => told_good(&path, output),
                Err(ConfigError::Wrong { problems, .. }) if output.json => {
                    let list: Vec<_> = problems
                        .iter()
                        .map(|p| json!({ "line": p.line, "column": p.column, "message": p.message }))
                        .collect();
                    output.json(&json!({ "file": path, "ok": false, "problems": list }))?;
                    Err(Failure::Silent { code: FAILED })
                }
                Err(error) => Err(told(&error)),
            }
        }
    }
}

fn told_good(path: &Path, output: &Output) -> Result<(), Failure> {
    if output.json {
        return output.json(&json!({ "file": path, "ok": true, "problems": [] }));
    }
    if path.exists() {
        output.line(format!("{}: {}", path.display(), output.paint(Tone::Good, "no mistakes")))
    } else {
        output.line(format!("{} is not there: the defaults are in force", path.display()))
    }
}

/// The file that is meant and whether it may be missing.
fn chosen(home: &Home, file: Option<PathBuf>) -> Result<(PathBuf, bool), Failure> {
    match file {
        Some(file) => {
            let path = std::path::absolute(&file).map_err(|error| Failure::io(file.display(), &error))?;
            Ok((path, false))
        }
        None => Ok((home.config_file(), true)),
    }
}

/// Reads the configuration, or tells every mistake in it.
pub(super) fn load(path: &Path, optional: bool) -> Result<Config, Failure> {
    Config::load(path, optional).map_err(|error| told(&error))
}

fn told(error: &ConfigError) -> Failure {
    match error {
        ConfigError::Unreadable { source, .. } => Failure::failed(format!("{error}: {source}")),
        ConfigError::Wrong { .. } => Failure::failed(error)
            .advise("`gatehouse config show` prints every key with its meaning once the file is right"),
    }
}
