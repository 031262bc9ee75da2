//! The picture of the house: an image file that a person chose.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use gatehouse_plugin_api::message::Snapshot;
use gatehouse_plugin_api::{Error, Result, tokio};

/// The largest picture, in bytes.
const BYTES_MAX: u64 = 5 * 1024 * 1024;

/// The image in this file. It is read aside, so that a slow disk holds up nothing else.
pub(crate) async fn snapshot(picture: Option<PathBuf>) -> Result<Snapshot> {
    let path = picture
        .ok_or_else(|| Error::not_found("the house has no picture: give the setting picture the path of a file"))?;
    let read = tokio::task::spawn_blocking(move || load(&path)).await;
    read.unwrap_or_else(|error| Err(Error::transient(format!("the picture was not read to its end: {error}"))))
}

fn load(path: &Path) -> Result<Snapshot> {
    let shown = path.display();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let media_type = match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        _ => return Err(Error::refused(format!("the picture {shown} is neither a .png nor a .jpg file"))),
    };
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::not_found(format!("there is no picture {shown}: put it there, or set another"))
        }
        _ => Error::refused(format!("the picture {shown} cannot be read: {error}")),
    };
    // Asked before it is opened: to open a pipe would wait for its other end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Error::refused(format!("the picture {shown} is not a file")));
    }
    let mut bytes = Vec::new();
    // Bounded here and not by the size it said: the file may grow meanwhile.
    File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Error::refused(format!("the picture {shown} is larger than 5 MiB: choose a smaller one")));
    }
    Ok(Snapshot { media_type: media_type.to_owned(), bytes })
}
