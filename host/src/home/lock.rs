//! One daemon a home: a lock that a live daemon holds and the system takes from a dead one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::Home;

/// How long the lock of a daemon that has ended is waited for: a worker that it was just starting has its descriptors
/// for the moment until it runs its own program.
const LEFT_BEHIND: Duration = Duration::from_secs(5);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

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
    /// Takes the home for this process. The home exists. May block for seconds where a daemon has just been killed.
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
        let begun = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let pid = holder(&mut file).map_err(failed)?;
                    if is_alive(&pid) || begun.elapsed() >= LEFT_BEHIND {
                        return Err(LockError::Served { home: self.root().to_owned(), pid });
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(failed(error.into())),
            }
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(HomeLock { _file: file })
    }
}

/// The process that has written itself into the lock.
fn holder(file: &mut File) -> io::Result<String> {
    let mut pid = String::new();
    file.rewind()?;
    file.read_to_string(&mut pid)?;
    let pid = pid.trim();
    Ok(if pid.is_empty() { "unknown" } else { pid }.to_owned())
}

/// Whether a process is there and more than a zombie, which has no program any more. One that just takes the lock has
/// not written itself yet.
fn is_alive(pid: &str) -> bool {
    let program = Path::new("/proc").join(pid).join("exe");
    pid == "unknown" || !matches!(program.read_link(), Err(error) if error.kind() == io::ErrorKind::NotFound)
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

    #[test]
    fn the_lock_of_a_daemon_that_has_ended_is_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        let mut ended = std::process::Command::new("true").spawn().expect("starts");
        ended.wait().expect("ends");
        std::fs::write(home.lock_file(), format!("{}\n", ended.id())).expect("written");
        // As a child of it has that inherited the descriptor and not yet closed it.
        let left_behind = File::open(home.lock_file()).expect("opens");
        flock(&left_behind, FlockOperation::NonBlockingLockExclusive).expect("free");
        let (begun, begins) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                begins.recv().expect("told");
                drop(left_behind);
            });
            begun.send(()).expect("heard");
            home.lock().expect("free once nobody has it");
        });
    }
}
