//! One daemon a home: a lock that a live daemon holds and the system takes from a dead one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

use super::Home;

/// Why the home is not this process's.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A live daemon has it.
    #[error(
        "a daemon already serves {home} (process {pid}): use it, stop it first, or choose another home with GATEHOUSE_HOME"
    )]
    Served {
        /// The home.
        home: PathBuf,
        /// The daemon's process id.
        pid: String,
    },
    /// The lock file cannot be used.
    #[error("the lock {path} cannot be taken: make the home writable for the user that runs the daemon")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

/// The home is this process's until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

impl Home {
    /// Takes the home for this process. The home exists.
    ///
    /// # Errors
    /// [`LockError::Served`] names the daemon that has it.
    pub fn lock(&self) -> Result<HomeLock, LockError> {
        let path = self.lock_file();
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // Who it is is only for the sentence; that it lives is certain.
                let _ = file.read_to_string(&mut pid);
                let pid = pid.trim();
                let pid = if pid.is_empty() { "unknown" } else { pid }.to_owned();
                return Err(LockError::Served { home: self.root().to_owned(), pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(HomeLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_told_who_has_the_home() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        let lock = home.lock().expect("free");
        let refusal = home.lock().expect_err("taken").to_string();
        assert!(refusal.contains(&format!("(process {})", std::process::id())), "{refusal}");
        drop(lock);
        home.lock().expect("free again");
    }
}
