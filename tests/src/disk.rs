//! A disk of a few megabytes for one home: a file system in memory that only the daemon's mount namespace has.
//!
//! It is looked into from outside through `/proc/PID/root`, and it is gone with the daemon.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Pid;

use crate::build;

/// Mounts the disk (its size is `$1`, its folder `$2`), copies what the test prepared (`$3`), becomes the daemon.
const SCRIPT: &str = r#"
mount -t tmpfs -o "size=$1,mode=0700" gatehouse-test "$2" || exit 90
cp "$3/gatehouse.toml" "$2/" && mkdir "$2/plugins" || exit 91
exec "$4" --home "$2" serve
"#;

/// The disk, before and after its daemon is started.
#[derive(Debug)]
pub struct SmallDisk {
    megabytes: u32,
    how: &'static [&'static str],
    folder: PathBuf,
    /// As this process sees it.
    home: PathBuf,
}

impl SmallDisk {
    /// A disk of this size; `None` where the system lets nobody mount one.
    pub fn new(megabytes: u32) -> Option<Self> {
        let ways: [&'static [&'static str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
        let how = ways.into_iter().find(|how| {
            let mut tried = Command::new("unshare");
            tried.args(*how).args(["mount", "-t", "tmpfs", "tried", "/mnt"]);
            let tried = tried.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            tried.is_ok_and(|status| status.success())
        })?;
        Some(Self { megabytes, how, folder: PathBuf::new(), home: PathBuf::new() })
    }

    /// Says which folder it is for.
    pub(crate) fn place(&mut self, folder: &Path) {
        self.folder = folder.to_owned();
        fs::create_dir(self.mount_point()).expect("a folder to mount on");
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.join("disk")
    }

    /// The command that mounts it and serves a home on it.
    pub(crate) fn serve(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(self.how).args(["sh", "-c", SCRIPT, "sh"]);
        command.arg(format!("{}m", self.megabytes)).arg(self.mount_point()).arg(&self.folder).arg(build::binary());
        command
    }

    /// Says which process has it mounted.
    pub(crate) fn seen_by(&mut self, daemon: Pid) {
        let inside = self.mount_point();
        let inside = inside.strip_prefix("/").expect("temporary folders have absolute paths");
        self.home = PathBuf::from(format!("/proc/{}/root", daemon.as_raw_nonzero())).join(inside);
    }

    /// The home on it.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
}

/// Writes a file until the disk that it lies on has no byte left.
///
/// # Panics
/// When writing fails for another reason.
pub fn fill(path: &Path) {
    let mut ballast = File::create(path).expect("made");
    let mut size = 1 << 20;
    let block = vec![0_u8; size];
    while size > 0 {
        match ballast.write(&block[..size]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => size /= 2,
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}
