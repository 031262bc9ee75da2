//! The home: the one folder that holds plugins, staged copies, data, database, key, configuration and socket.
//!
//! It is `GATEHOUSE_HOME`, else `$XDG_STATE_HOME/gatehouse`, else `~/.local/state/gatehouse`. A Unix socket's path holds
//! 107 bytes, so that of a deeper home is `$XDG_RUNTIME_DIR/gatehouse-<hash>.sock`, which the home records.

mod lock;

pub use lock::{HomeLock, LockError};

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The environment variable that names the home.
pub const HOME_VARIABLE: &str = "GATEHOUSE_HOME";

/// The longest path of a Unix socket in bytes, without the closing NUL (`sun_path`, unix(7)).
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// Why there is no home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Nothing says where.
    #[error("there is no place for the home: set {HOME_VARIABLE} to a folder, or HOME to yours")]
    Nowhere,
    /// A relative path that cannot be completed.
    #[error("the home {path} is relative and the current folder is unknown: give an absolute path")]
    Relative {
        /// The path as given.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// A folder of it cannot be made or closed to others.
    #[error("the folder {path} cannot be {doing}: choose another home with {HOME_VARIABLE}, or make it yours")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// `made`, `closed to other users`.
        doing: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The path of the socket is too long and there is no folder for a shorter one.
    #[error(
        "the socket's path {path} has {bytes} bytes and the most is {SOCKET_PATH_MAX_BYTES}: choose a shorter home, or set XDG_RUNTIME_DIR to a short folder of yours"
    )]
    SocketPath {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
}

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

    /// The home that is meant: the one given, else what the environment says. It need not exist.
    ///
    /// # Errors
    /// [`HomeError::Nowhere`] and [`HomeError::Relative`].
    pub fn find(given: Option<&Path>) -> Result<Self, HomeError> {
        let root = match given {
            Some(path) => path.to_owned(),
            None => place(|name| std::env::var_os(name)).ok_or(HomeError::Nowhere)?,
        };
        std::path::absolute(&root).map(Self::at).map_err(|source| HomeError::Relative { path: root, source })
    }

    /// The home of a terminal in which [`HOME_VARIABLE`] is not set.
    pub fn by_default() -> Option<Self> {
        place(|name| if name == HOME_VARIABLE { None } else { std::env::var_os(name) }).map(Self::at)
    }

    /// Makes the home and its folders where they are missing, closed to other users (mode 0700).
    ///
    /// # Errors
    /// [`HomeError::Folder`] names the folder.
    pub fn create(&self) -> Result<(), HomeError> {
        let failed = |path: &Path, doing| {
            let path = path.to_owned();
            move |source| HomeError::Folder { path, doing, source }
        };
        for folder in [self.root.clone(), self.plugins_dir(), self.staging_dir(), self.root.join("data")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed(&folder, "made"))?;
        }
        // A home that was made by hand may be open; the key and the database are in it.
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o700))
            .map_err(failed(&self.root, "closed to other users"))
    }

    /// Lets members of groups reach the socket in the home: through its folder, and to nothing else in it. One group
    /// gets the folder (mode 0710); for several it is open to all who know a name in it (mode 0711), and everything else
    /// in it is closed by its own mode.
    ///
    /// # Errors
    /// [`HomeError::Folder`] when the daemon's user is no member of the group.
    pub fn let_through(&self, groups: &[u32]) -> Result<(), HomeError> {
        let failed = |source| HomeError::Folder { path: self.root.clone(), doing: "given to the group", source };
        let mode = match groups {
            [] => return Ok(()),
            [group] => {
                std::os::unix::fs::chown(&self.root, None, Some(*group)).map_err(failed)?;
                0o710
            }
            _ => 0o711,
        };
        fs::set_permissions(&self.root, fs::Permissions::from_mode(mode)).map_err(failed)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Who flies in the daemon's own process; there while somebody does, and after a crash of the daemon.
    pub fn flight_file(&self) -> PathBuf {
        self.root.join("run/in-process")
    }

    /// Where a person drops plugin files.
    pub fn plugins_dir(&self) -> PathBuf {
        self.root.join("plugins")
    }

    /// The content-addressed store of staged copies (mode 0700).
    pub fn staging_dir(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// The lists of what is trusted and what is revoked (mode 0700).
    pub fn trust_dir(&self) -> PathBuf {
        self.root.join("trust")
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

    /// The lock that a live daemon holds; it contains its process id.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("gatehouse.lock")
    }

    /// The control socket: in the home, or where the home's daemon recorded that it is. Reads a small file when the
    /// path is too long for a socket.
    pub fn socket(&self) -> PathBuf {
        let inside = self.root.join("gatehouse.sock");
        if fits(&inside) {
            return inside;
        }
        match fs::read(self.socket_record()) {
            Ok(recorded) => PathBuf::from(std::ffi::OsStr::from_bytes(&recorded)),
            Err(_) => self.outside_socket(std::env::var_os("XDG_RUNTIME_DIR")).unwrap_or(inside),
        }
    }

    /// Where the daemon is to bind its socket; records it when that is outside the home. The home exists.
    ///
    /// # Errors
    /// [`HomeError::SocketPath`]; [`HomeError::Folder`] when the home cannot be written.
    pub fn place_socket(&self) -> Result<PathBuf, HomeError> {
        let inside = self.root.join("gatehouse.sock");
        if fits(&inside) {
            return Ok(inside);
        }
        let outside = self.outside_socket(std::env::var_os("XDG_RUNTIME_DIR")).ok_or_else(|| {
            let bytes = inside.as_os_str().len();
            HomeError::SocketPath { path: inside.clone(), bytes }
        })?;
        fs::write(self.socket_record(), outside.as_os_str().as_bytes()).map_err(|source| HomeError::Folder {
            path: self.root.clone(),
            doing: "written",
            source,
        })?;
        Ok(outside)
    }

    /// Where the path of a socket outside the home is written down.
    fn socket_record(&self) -> PathBuf {
        self.root.join("gatehouse.sock.path")
    }

    fn outside_socket(&self, runtime_dir: Option<OsString>) -> Option<PathBuf> {
        let folder = runtime_dir.map(PathBuf::from).filter(|path| path.is_absolute())?;
        let hash = hex::encode(Sha256::digest(self.root.as_os_str().as_bytes()));
        Some(folder.join(format!("gatehouse-{}.sock", &hash[..12]))).filter(|path| fits(path))
    }
}

/// Makes a folder where it is missing, and closes it to other users (mode 0700).
pub(crate) fn make_private(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // One that was there before may have been opened to others.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

fn fits(socket: &Path) -> bool {
    socket.as_os_str().len() <= SOCKET_PATH_MAX_BYTES
}

/// The home that the environment names. A relative `XDG_STATE_HOME` counts as unset (XDG Base Directory Specification).
fn place(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(HOME_VARIABLE)
        .or_else(|| set("XDG_STATE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("gatehouse")))
        .or_else(|| set("HOME").map(|path| path.join(".local/state/gatehouse")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(variables: &[(&str, &str)]) -> Option<PathBuf> {
        place(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_environment_names_the_home() {
        for (variables, expected) in [
            (&[("GATEHOUSE_HOME", "/a"), ("XDG_STATE_HOME", "/b"), ("HOME", "/c")][..], Some("/a")),
            (&[("GATEHOUSE_HOME", ""), ("XDG_STATE_HOME", "/b"), ("HOME", "/c")], Some("/b/gatehouse")),
            (&[("XDG_STATE_HOME", "b"), ("HOME", "/c")], Some("/c/.local/state/gatehouse")),
            (&[], None),
        ] {
            assert_eq!(placed(variables), expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn a_home_is_closed_to_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("deep/home");
        fs::create_dir_all(&root).expect("made");
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).expect("opened");
        let home = Home::at(&root);
        home.create().expect("created");
        for path in [home.root(), &home.plugins_dir(), &home.staging_dir()] {
            let mode = fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!(mode, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn a_home_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "").expect("written");
        let error = Home::at(file.join("home")).create().expect_err("refused").to_string();
        assert!(error.contains("file/home cannot be made"), "{error}");
    }

    #[test]
    fn a_deep_home_has_its_socket_in_the_runtime_folder() {
        let home = Home::at(format!("/{}", "d".repeat(100)));
        let socket = home.outside_socket(Some("/run/user/1000".into())).expect("a place");
        assert!(socket.starts_with("/run/user/1000") && fits(&socket), "{}", socket.display());
        assert_ne!(
            Some(socket),
            Home::at(format!("/{}", "e".repeat(100))).outside_socket(Some("/run/user/1000".into()))
        );
        assert_eq!(home.outside_socket(None), None);
        assert_eq!(home.outside_socket(Some(format!("/{}", "r".repeat(100)).into())), None);
    }

    #[test]
    fn a_recorded_socket_is_found_without_the_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path().join("d".repeat(110)));
        home.create().expect("created");
        fs::write(home.socket_record(), "/run/elsewhere.sock").expect("written");
        assert_eq!(home.socket(), PathBuf::from("/run/elsewhere.sock"));
    }
}
