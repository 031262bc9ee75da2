//! A real daemon in a temporary home, ended with the test; its log is shown when the test fails.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::build;
use crate::disk::SmallDisk;
use crate::events::Events;
use crate::http::{self, Answer};
use crate::terminal::Terminal;
use crate::user::User;
use crate::wait::wait_for;

/// Intervals short enough that no test waits for a real one.
pub const QUICK: &str = "\
[plugins]
stable_for_ms = 50
rescan_every_ms = 500
[integrations]
backoff_ms = [50, 100, 200]
heartbeat_every_ms = 200
heartbeat_within_ms = 2000
";

/// What a command printed.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output, after checking that the command succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        &self.stdout
    }

    /// Standard error, after checking the exit code.
    ///
    /// # Panics
    /// When the code is another.
    #[track_caller]
    pub fn failed(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        &self.stderr
    }

    /// Standard output as one JSON value.
    ///
    /// # Panics
    /// When the command failed or printed something else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.ok()).expect("the command prints JSON")
    }
}

/// A home and, while it runs, its daemon.
#[derive(Debug)]
pub struct Daemon {
    folder: TempDir,
    child: Option<Child>,
    user: Option<User>,
    disk: Option<SmallDisk>,
    /// What is served, when it is not the binary that commands are run with.
    program: Option<PathBuf>,
    /// What is run with its command line, and becomes it.
    runner: Vec<OsString>,
}

impl Daemon {
    /// A served home with quick intervals.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// A served home with more configuration after the quick intervals.
    pub fn start_with(more_config: &str) -> Self {
        let mut daemon = Self::prepare(&format!("{QUICK}{more_config}"));
        daemon.serve();
        daemon
    }

    /// A home that is not served yet.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn prepare(config: &str) -> Self {
        build::built();
        let folder = TempDir::with_prefix("gatehouse-").expect("a temporary home");
        fs::create_dir_all(folder.path().join("plugins")).expect("a plugins folder");
        fs::write(folder.path().join("gatehouse.toml"), config).expect("a config file");
        Self { folder, child: None, user: None, disk: None, program: None, runner: Vec::new() }
    }

    /// A home that is not served yet, where everything belongs to another user, who runs every command.
    ///
    /// # Panics
    /// When this process is not root, or the home cannot be given away.
    pub fn prepare_as(config: &str, uid: u32) -> Self {
        let mut daemon = Self::prepare(config);
        let user = User::new(uid);
        user.own(daemon.folder.path());
        user.own(&daemon.plugins());
        user.own(&daemon.home().join("gatehouse.toml"));
        daemon.user = Some(user);
        daemon
    }

    /// A home that is not served yet, on a disk of its own of a few megabytes.
    pub fn prepare_on(config: &str, mut disk: SmallDisk) -> Self {
        let mut daemon = Self::prepare(config);
        disk.place(daemon.folder.path());
        daemon.disk = Some(disk);
        daemon
    }

    /// From now on a copy of the binary of its own is served; where it is.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn own_program(&mut self) -> PathBuf {
        let copy = self.folder.path().join("gatehouse");
        fs::copy(build::binary(), &copy).expect("copied");
        self.program = Some(copy.clone());
        copy
    }

    /// From its next start on the daemon is run by a program that is given its command line, after its own arguments,
    /// and becomes it; by none when there is no word.
    pub fn run_by<T: Into<OsString>>(&mut self, runner: impl IntoIterator<Item = T>) {
        self.runner = runner.into_iter().map(Into::into).collect();
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub fn serve(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let mut command = match (&self.disk, &self.program) {
            (Some(disk), _) => disk.serve(),
            (None, Some(program)) => self.command_of(program.clone(), &["serve"]),
            (None, None) => self.command(&["serve"]),
        };
        if let [runner, arguments @ ..] = self.runner.as_slice() {
            command = run_by(runner, arguments, &command);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        if let Some(disk) = &mut self.disk {
            disk.seen_by(Pid::from_child(&child));
        }
        self.child = Some(child);
        wait_for("the daemon to answer", || {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                panic!("the daemon ended: {status}\n{}", self.log());
            }
            match self.get("/v1/status") {
                Ok(Answer { status: 200, .. }) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_of(self.user.as_ref().map_or_else(build::binary, User::binary), args)
    }

    fn command_of(&self, program: PathBuf, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        if let Some(user) = &self.user {
            command.uid(user.uid()).gid(user.uid()).current_dir("/");
        }
        command.arg("--home").arg(self.home()).args(args).env("NO_COLOR", "1").env_remove("GATEHOUSE_HOME");
        command
    }

    /// The home.
    pub fn home(&self) -> &Path {
        self.disk.as_ref().map_or(self.folder.path(), SmallDisk::home)
    }

    /// The plugins folder.
    pub fn plugins(&self) -> PathBuf {
        self.home().join("plugins")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.home().join("gatehouse.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("daemon.log")
    }

    /// Where the daemon's output goes.
    pub fn log_file(&self) -> PathBuf {
        self.log_path()
    }

    /// What the daemon printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// When it is not served.
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("served"))
    }

    /// Sends a signal and waits for the end; returns the exit code, -1 for a signal.
    ///
    /// # Panics
    /// When it is not served.
    pub fn end(&mut self, signal: Signal) -> i32 {
        kill_process(self.pid(), signal).expect("the daemon is there");
        let mut child = self.child.take().expect("served");
        wait_for("the daemon to end", || child.try_wait().ok().flatten().ok_or("running")).code().unwrap_or(-1)
    }

    /// Ends it in order and serves the same home again.
    pub fn restart(&mut self) {
        self.end(Signal::TERM);
        self.serve();
    }

    /// Runs a client command against this home, without a terminal and without input.
    ///
    /// # Panics
    /// When the binary cannot be run.
    pub fn cli(&self, args: &[&str]) -> Ran {
        self.cli_with_input(args, "")
    }

    /// Runs a client command with text on its standard input.
    ///
    /// # Panics
    /// When the binary cannot be run.
    pub fn cli_with_input(&self, args: &[&str], input: &str) -> Ran {
        run(self.command(args), input)
    }

    /// Runs a client command against this home as a user that the home does not belong to.
    ///
    /// # Panics
    /// When this process is not root, or the binary cannot be run.
    pub fn cli_as(&self, user: &User, args: &[&str]) -> Ran {
        let mut command = Command::new(user.binary());
        command.uid(user.uid()).gid(user.uid()).current_dir("/");
        command.arg("--home").arg(self.home()).args(args).env("NO_COLOR", "1").env_remove("GATEHOUSE_HOME");
        run(command, "")
    }

    /// A client command on a terminal of its own.
    ///
    /// # Panics
    /// When there is no terminal to be had.
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        let mut whole: Vec<OsString> = vec!["--home".into(), self.home().into()];
        whole.extend(args.iter().map(OsString::from));
        Terminal::start(&build::binary(), &whole)
    }

    /// What the daemon tells as it happens; `resume` is a token of an earlier stream.
    ///
    /// # Panics
    /// When the socket cannot be reached.
    pub fn events(&self, path: &str, resume: Option<&str>) -> Events {
        Events::open(&self.socket(), path, resume)
    }

    /// A long-running client command with its output piped; the caller ends it.
    ///
    /// # Panics
    /// When the binary cannot be run.
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts")
    }

    /// `GET path`.
    ///
    /// # Errors
    /// When the socket cannot be reached.
    pub fn get(&self, path: &str) -> anyhow::Result<Answer> {
        http::request(&self.socket(), "GET", path, None)
    }

    /// Any request.
    ///
    /// # Panics
    /// When the socket cannot be reached.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        http::request(&self.socket(), method, path, Some(body)).expect("the daemon answers")
    }

    /// Copies a bundled plugin into the folder as `cp` does and waits for its verdict.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn drop_plugin(&self, name: &str) {
        self.drop_file(&build::plugin_file(name));
    }

    /// As [`Self::drop_plugin`], with a plugin file from elsewhere.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn drop_file(&self, file: &Path) {
        let file_name = file.file_name().expect("a file").to_owned();
        match &self.user {
            None => drop(fs::copy(file, self.plugins().join(&file_name)).expect("copied")),
            Some(user) => user.put(file, &self.plugins()),
        }
        self.wait_decision(&file_name.to_string_lossy(), "accepted");
    }

    /// Waits until a file has a decision; returns the verdict.
    pub fn wait_decision(&self, file_name: &str, decision: &str) -> Value {
        wait_for(&format!("{file_name} to be {decision}"), || {
            let verdict = self.get(&format!("/v1/plugins/{file_name}")).map_err(|e| e.to_string())?.json();
            if verdict["decision"] == decision { Ok(verdict) } else { Err(verdict.to_string()) }
        })
    }

    /// Waits until a file's verdict has this reason; returns the verdict. While a large file is written there may be
    /// others.
    pub fn wait_reason(&self, file_name: &str, code: &str) -> Value {
        wait_for(&format!("the reason {code} for {file_name}"), || {
            let verdict = self.get(&format!("/v1/plugins/{file_name}")).map_err(|e| e.to_string())?.json();
            if verdict["reason"]["code"] == code { Ok(verdict) } else { Err(verdict.to_string()) }
        })
    }

    /// Waits until an integration's actual state is this one; returns the view.
    pub fn wait_state(&self, id: &str, state: &str) -> Value {
        wait_for(&format!("{id} to be {state}"), || {
            let view = self.get(&format!("/v1/integrations/{id}")).map_err(|e| e.to_string())?.json();
            if view["actual"]["state"] == state { Ok(view) } else { Err(view.to_string()) }
        })
    }
}

/// The same command with a program and its arguments before it.
fn run_by(runner: &OsStr, arguments: &[OsString], command: &Command) -> Command {
    let mut whole = Command::new(runner);
    whole.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => whole.env(name, value),
            None => whole.env_remove(name),
        };
    }
    whole
}

fn run(mut command: Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // A command that reads no input may close it first.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the command ends");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "--- the daemon's log\n{}", self.log());
        }
    }
}
