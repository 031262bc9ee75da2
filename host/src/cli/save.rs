//! Saving a file that the daemon answered with, where the person wants it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// Writes a file; where the person named none, under its own name in this folder, if nothing has that name. `flag` is how
/// another place is named.
pub(super) fn write(wanted: Option<&Path>, name: &str, bytes: &[u8], flag: &str) -> Result<PathBuf, Failure> {
    let suggested = Path::new(name).file_name().map_or_else(|| PathBuf::from("file"), PathBuf::from);
    let path = match wanted {
        Some(path) if path.is_dir() => path.join(suggested),
        Some(path) => path.to_owned(),
        None => suggested,
    };
    let written = match wanted {
        Some(_) => std::fs::write(&path, bytes),
        None => OpenOptions::new().write(true).create_new(true).open(&path).and_then(|mut file| file.write_all(bytes)),
    };
    match written {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::failed(format!("{} is there already", path.display()))
                .advise(format!("choose another place with {flag}")))
        }
        Err(error) => Err(Failure::io(path.display(), &error)),
    }
}
