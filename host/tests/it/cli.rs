//! The command line as a person meets it: through the binary, with its exit codes and what it prints where.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use tempfile::TempDir;

mod serve;

const GATEHOUSE: &str = env!("CARGO_BIN_EXE_gatehouse");

fn gatehouse(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(GATEHOUSE);
    command.arg("--home").arg(home).args(arguments).stdin(Stdio::null());
    for variable in ["GATEHOUSE_HOME", "NO_COLOR", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    gatehouse(home, arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run printed, with what differs from machine to machine replaced.
fn told(home: &Path, output: &Output) -> String {
    let text = format!("exit {}\n{}{}", output.status.code().unwrap(), out(output), err(output));
    text.replace(GATEHOUSE, "GATEHOUSE").replace(&home.display().to_string(), "HOME")
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    home
}

#[test]
fn help_shows_every_command_with_examples() {
    let home = home();
    insta::assert_snapshot!(told(home.path(), &run(home.path(), &["--help"])));
    insta::assert_snapshot!(told(home.path(), &run(home.path(), &["integration", "activate", "--help"])));
}

#[test]
fn mistyped_commands_are_usage_errors_with_the_nearest() {
    let home = home();
    for (arguments, near) in
        [(&["statsu"][..], "status"), (&["plugin", "lst"], "list"), (&["status", "--jsn"], "--json")]
    {
        let output = run(home.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains(near), "{}", err(&output));
    }
}

#[test]
fn without_a_daemon_the_command_that_starts_one_is_told() {
    let home = home();
    insta::assert_snapshot!(told(home.path(), &run(home.path(), &["status"])), @r"
    exit 1
    error: no daemon serves HOME
     hint: start it: GATEHOUSE --home HOME serve
           or name the home of the one that runs: --home PATH, or GATEHOUSE_HOME
    ");
}

#[test]
fn addresses_and_moments_that_cannot_be_are_usage_errors() {
    let home = home();
    for (arguments, words) in [
        (&["control", "lamp", "on"][..], "write INTEGRATION:ENTITY/STATE"),
        (&["control", "a:b/c", "on", "--payload", "5"], "no JSON object"),
        (&["state", "history", "a:b/c", "--since", "yesterday"], "--since: \"yesterday\" is not a moment"),
        (&["integration", "pause", "Hass"], "lower-case"),
        (&["integration", "activate", "x", "--set", "novalue"], "--set novalue has no '='"),
        (&["integration", "deactivate", "x", "--safe", "--all"], "cannot be used with"),
    ] {
        let output = run(home.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", err(&output));
        assert!(err(&output).contains(words), "{arguments:?}: {}", err(&output));
    }
}

#[test]
fn every_mistake_in_a_configuration_is_told_at_once() {
    let home = home();
    fs::write(home.path().join("gatehouse.toml"), "[log]\nfilter = 5\n[history]\nkeep_dayz = 3\n").unwrap();
    insta::assert_snapshot!(told(home.path(), &run(home.path(), &["config", "check"])), @r#"
    exit 1
    error: HOME/gatehouse.toml:2:10: log.filter takes text in quotes and got the number 5
           HOME/gatehouse.toml:4:1: [history] has no key "keep_dayz": did you mean "keep_days"?
     hint: `gatehouse config show` prints every key with its meaning once the file is right
    "#);
    // The daemon refuses to start with it, in the same words.
    let served = run(home.path(), &["serve"]);
    assert_eq!(served.status.code(), Some(1));
    assert!(err(&served).contains("gatehouse.toml:4:1"), "{}", err(&served));
    let json: serde_json::Value =
        serde_json::from_slice(&run(home.path(), &["config", "check", "--json"]).stdout).unwrap();
    assert_eq!(json["problems"][1]["line"], 4);
}

#[test]
fn the_configuration_shown_can_be_used() {
    let home = home();
    let shown = run(home.path(), &["config", "show"]);
    let file = home.path().join("other.toml");
    fs::write(&file, &shown.stdout).unwrap();
    let checked = run(home.path(), &["config", "check", file.to_str().unwrap()]);
    assert_eq!(told(home.path(), &checked), "exit 0\nHOME/other.toml: no mistakes\n");
    let missing = run(home.path(), &["config", "check", "/nowhere/gatehouse.toml"]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn completion_scripts_are_printed() {
    let home = home();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(home.path(), &["completion", shell]);
        assert!(output.status.success() && out(&output).contains("gatehouse"), "{shell}");
    }
}

#[test]
fn a_file_is_inspected_without_a_daemon() {
    let home = home();
    let file = home.path().join("broken.so");
    fs::write(&file, "not a plugin").unwrap();
    let output = run(home.path(), &["plugin", "inspect", file.to_str().unwrap(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let plugin: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plugin["reason"]["code"], "not_elf");
}

#[test]
fn a_closed_output_is_no_failure() {
    let home = home();
    let mut child = gatehouse(home.path(), &["config", "show"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn plugin_new_refuses_what_it_cannot_make() {
    let home = home();
    let made = |arguments: &[&str]| {
        let output = gatehouse(home.path(), &["plugin", "new"]).args(arguments).current_dir(home.path()).output();
        told(home.path(), &output.unwrap())
    };
    assert!(made(&["Weather"]).starts_with("exit 2"));
    assert!(made(&["serde"]).starts_with("exit 2"));
    assert!(made(&["weather", "--path", "/nowhere"]).starts_with("exit 2"));
    fs::create_dir(home.path().join("weather")).unwrap();
    fs::write(home.path().join("weather/mine"), "precious").unwrap();
    insta::assert_snapshot!(made(&["weather"]), @r"
    exit 1
    error: HOME/weather is there and not empty: nothing was written
     hint: choose another folder with --dir DIR
    ");
    assert_eq!(fs::read_dir(home.path().join("weather")).unwrap().count(), 1);
}

/// A daemon of its own, killed at the end.
struct Served {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Served {
    fn start(home: &Path) -> Self {
        let mut served = Self::begin(home);
        served.wait_for("Ctrl-C stops it.");
        served
    }

    fn begin(home: &Path) -> Self {
        let mut child = gatehouse(home, &["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads what the daemon says until a line holds these words.
    fn wait_for(&mut self, words: &str) -> Vec<String> {
        let mut seen = Vec::new();
        for line in &mut self.lines {
            seen.push(line.unwrap());
            if seen.last().unwrap().contains(words) {
                return seen;
            }
        }
        panic!("the daemon ended before it said {words:?}: {seen:#?}");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_daemon_announces_files_and_answers_its_client() {
    let home = home();
    let mut served = Served::start(home.path());
    fs::write(home.path().join("plugins/broken.so"), "not a plugin").unwrap();
    let seen = served.wait_for("broken.so was refused");
    assert!(seen.last().unwrap().contains("plugin why broken.so"), "{seen:?}");

    let why = run(home.path(), &["plugin", "why", "broken.so"]);
    assert!(why.status.success() && out(&why).contains("not_elf"), "{}", out(&why));
    let mistyped = run(home.path(), &["plugin", "why", "brokn.so"]);
    assert_eq!(mistyped.status.code(), Some(1));
    assert!(err(&mistyped).contains("did you mean \"broken.so\"?"), "{}", err(&mistyped));

    let status: serde_json::Value = serde_json::from_slice(&run(home.path(), &["status", "--json"]).stdout).unwrap();
    assert_eq!(status["pid"], served.child.id());
    let second = run(home.path(), &["serve"]);
    assert_eq!(second.status.code(), Some(1), "one daemon a home");
}

fn cargo(folder: &Path, arguments: &[&str]) {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", target);
    // What the outer cargo set for this crate is not the inner one's.
    for (name, _) in std::env::vars_os() {
        let outer = name.to_string_lossy();
        if (outer.starts_with("CARGO_PKG") || outer.starts_with("CARGO_MANIFEST")) && name != OsStr::new("CARGO") {
            command.env_remove(&name);
        }
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}\n{}{}", out(&output), err(&output));
}

/// The whole way of an author: made outside of the workspace, tested, built, dropped, activated, controlled.
#[test]
fn a_new_plugin_passes_its_test_and_runs() {
    let home = home();
    let made = gatehouse(home.path(), &["plugin", "new", "weather-station"]).current_dir(home.path()).output().unwrap();
    assert!(made.status.success(), "{}", err(&made));
    let folder = home.path().join("weather-station");
    cargo(&folder, &["test", "--offline"]);
    cargo(&folder, &["build", "--offline"]);

    let mut served = Served::start(home.path());
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scaffold/debug/libweather_station.so");
    fs::copy(library, home.path().join("plugins/libweather_station.so")).unwrap();
    served.wait_for("weather-station 0.1.0 is there");

    let mistyped = run(home.path(), &["integration", "activate", "weather-station", "--yes", "--set", "outsid=3"]);
    assert_eq!(mistyped.status.code(), Some(2), "{}", err(&mistyped));
    assert!(err(&mistyped).contains("did you mean \"outside\"?"), "{}", err(&mistyped));
    let wrong = run(home.path(), &["integration", "activate", "weather-station", "--yes", "--set", "outside=99"]);
    assert_eq!(wrong.status.code(), Some(1), "{}", err(&wrong));
    assert!(err(&wrong).contains("outside: 99 is not between -50 and 50"), "{}", err(&wrong));

    let activated = run(home.path(), &["integration", "activate", "weather-station", "--yes", "--set", "outside=3"]);
    assert!(activated.status.success(), "{}", err(&activated));
    assert!(out(&activated).contains("weather-station:room/heating"), "{}", out(&activated));
    let controlled = run(home.path(), &["control", "weather-station:room/heating", "on"]);
    assert_eq!(out(&controlled), "weather-station:room/heating is on\n", "{}", err(&controlled));
    let states = run(home.path(), &["state", "get", "weather-station", "--json"]);
    let states: serde_json::Value = serde_json::from_slice(&states.stdout).unwrap();
    let heating = states.as_array().unwrap().iter().find(|state| state["address"] == "weather-station:room/heating");
    assert_eq!(heating.unwrap()["value"], serde_json::json!({ "on_off": true }));
    let off = run(home.path(), &["integration", "deactivate", "weather-station", "--purge", "--yes"]);
    assert!(off.status.success(), "{}", err(&off));
}
