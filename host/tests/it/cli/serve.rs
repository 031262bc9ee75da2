//! The daemon's process from outside: signals while it starts, outputs that take nothing, what it says first.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Served, gatehouse, home, out, run};

/// Asks again until there is an answer.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < give_up, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends a process by a signal, and by force when a test gives up.
struct Process(Child);

impl Process {
    fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
        wait_for("the end of the daemon", || self.0.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A daemon that starts for ever: nobody writes into the pipe that stands where the database should.
fn starting(home: &Path) -> Process {
    let made = Command::new("mkfifo").arg(home.join("gatehouse.db")).status().unwrap();
    assert!(made.success());
    let daemon = Process::spawn(gatehouse(home, &["serve"]).stdout(Stdio::null()).stderr(Stdio::piped()));
    let locked = || fs::read(home.join("gatehouse.lock")).ok().filter(|pid| !pid.is_empty());
    wait_for("the lock of the daemon", locked);
    daemon
}

#[test]
fn a_daemon_that_starts_ends_when_it_is_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = home();
        let mut daemon = starting(home.path());
        assert_eq!(daemon.end(signal).code(), Some(0), "{signal:?}");
        let mut log = String::new();
        daemon.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(log.contains("stopped before it served"), "{log}");
    }
}

#[test]
fn a_stuck_terminal_holds_up_neither_answers_nor_the_end() {
    let home = home();
    // One pipe for both, as small as the system has them, which nobody reads.
    let (_reader, writer) = std::io::pipe().unwrap();
    let room = rustix::pipe::fcntl_setpipe_size(writer.as_fd(), 4096).unwrap();
    let errors = writer.try_clone().unwrap();
    let mut daemon = Process::spawn(gatehouse(home.path(), &["serve"]).stdout(writer).stderr(errors));
    // A line of the log and an announcement for each file, more than the pipe takes.
    let files = 200;
    wait_for("the plugins folder", || home.path().join("plugins").is_dir().then_some(()));
    for n in 0..files {
        fs::write(home.path().join(format!("plugins/broken-{n}.so")), "not a plugin").unwrap();
    }
    wait_for("a verdict for every file", || {
        let listed = run(home.path(), &["plugin", "list", "--json"]);
        let listed: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).ok()?;
        (listed.len() == files).then_some(())
    });
    let log = out(&run(home.path(), &["log", "--lines", "1000"]));
    assert!(log.len() > 2 * room, "{} bytes of log and a pipe of {room}", log.len());
    assert_eq!(daemon.end(Signal::TERM).code(), Some(0));
}

#[test]
fn an_empty_plugins_folder_is_told_what_to_do() {
    let home = home();
    let mut served = Served::begin(home.path());
    let said = served.wait_for("Ctrl-C stops it.").join("\n");
    assert!(said.contains("No plugin is here yet"), "{said}");
    assert!(!said.contains("integration activate"), "{said}");
    // The command that it names works as it stands.
    let command = said.lines().find_map(|line| line.trim().strip_prefix("cp ")).map(|rest| format!("cp {rest}"));
    if let Some(command) = command {
        let copied = Command::new("sh").arg("-c").arg(&command).status().unwrap();
        assert!(copied.success(), "{command}");
        let seen = served.wait_for("is there: activate it with");
        assert!(seen.last().unwrap().contains("integration activate system-monitor"), "{seen:?}");
        drop(served);
        let mut again = Served::begin(home.path());
        let said = again.wait_for("Ctrl-C stops it.").join("\n");
        assert!(said.contains("integration activate system-monitor\n"), "{said}");
    }
}
