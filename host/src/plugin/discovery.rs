//! Finding plugin files: which names count, when a file rests, what is watched.

mod folder;
mod rest;
mod watch;

use std::path::{Path, PathBuf};

pub(super) use folder::{Listing, list};
pub(super) use rest::{Finding, Resting};
pub(super) use watch::FolderWatch;

use super::verdict::file_name_of;

/// A file that was found and rests: nobody is writing it any more, as far as can be told from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    file_name: String,
    path: PathBuf,
}

impl Candidate {
    /// A file that a person names: taken to be finished.
    pub(super) fn given(path: &Path) -> Self {
        Self { file_name: file_name_of(path), path: path.to_owned() }
    }

    pub(super) fn file_name(&self) -> &str {
        &self.file_name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
