//! The real daemon, timed from outside: what a client, a subscriber and a person who drops a file wait for.
//!
//! Release binary and plugins (`GATEHOUSE_PROFILE=release`), a home of its own for each row. Where a row has a
//! baseline, both are measured in turns in the same run; figures are medians. Rows go to standard output as JSON lines.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its rows")]

#[path = "daemon/neighbours.rs"]
mod neighbours;
#[path = "daemon/scale.rs"]
mod scale;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use serde_json::{Value, json};

/// Requests of one round.
const REQUESTS: usize = 3_000;
/// Rounds of a row that is measured beside a baseline.
const ROUNDS: usize = 5;
/// Readings of one throughput row.
const READINGS: u64 = 300_000;
/// What a file that was moved in waits before it is looked at (`plugin/discovery/rest.rs`).
const STABILITY_MS: f64 = 10.0;
const LAMP: &str = "/v1/states/virtual-house:lamp%2Fpower";
const POWER: &str = "/v1/states/probe:probe%2Fpower";
/// Configuration that takes the probe into the daemon.
const IN_PROCESS: &str = "[integration.probe]\nhosting = \"in_process\"\n";

/// The first argument with which this program is the baseline's server.
const BARE_AXUM: &str = "bare-axum";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, socket, body] = &arguments[..]
        && mode == BARE_AXUM
    {
        return BareAxum::serve(socket, body.clone());
    }
    // `cargo bench --bench daemon -- requests` measures that part alone.
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let is_wanted = |part: &str| wanted.is_none_or(|wanted| wanted == part);
    if is_wanted("requests") {
        requests();
    }
    if is_wanted("controls") {
        controls();
    }
    if is_wanted("readings") {
        readings("isolated", "");
        readings("in-process", IN_PROCESS);
    }
    if is_wanted("dropped") {
        dropped();
    }
    if is_wanted("neighbours") {
        neighbours::neighbours();
    }
    if is_wanted("integrations") {
        scale::integrations();
    }
    if is_wanted("states") {
        scale::states();
    }
    if is_wanted("started") {
        for count in [1, 10, 100] {
            started(count);
        }
    }
}

fn tell(row: &str, value: f64, unit: &str, baseline: Option<f64>, goal: &str, met: Option<bool>) {
    let ratio = baseline.map(|baseline| value / baseline);
    println!(
        "{}",
        json!({"row": row, "value": value, "unit": unit, "baseline": baseline, "ratio": ratio, "goal": goal, "met": met})
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    percentile(&mut values, 50)
}

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

/// One kept-open connection.
struct Client(BufReader<UnixStream>);

impl Client {
    fn to(socket: &Path) -> Self {
        Self(BufReader::new(UnixStream::connect(socket).expect("connected")))
    }

    /// Sends a request and reads the whole answer; how long that took, in microseconds.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> f64 {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = Instant::now();
        self.0.get_mut().write_all(request.as_bytes()).expect("sent");
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line).expect("a status");
        assert!(line.contains(" 200 "), "{method} {path}: {line}");
        loop {
            line.clear();
            self.0.read_line(&mut line).expect("a header");
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).expect("a body");
        began.elapsed().as_secs_f64() * 1e6
    }
}

/// A bare axum handler that answers the same bytes on a Unix socket, in a process of its own as the daemon is.
struct BareAxum(Child);

impl BareAxum {
    fn start(socket: &Path, body: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program).arg(BARE_AXUM).arg(socket).arg(body).spawn().expect("started");
        wait_for("the bare handler", || UnixStream::connect(socket).map(drop).map_err(|error| error.to_string()));
        Self(child)
    }

    /// What the process does.
    fn serve(socket: &str, body: String) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::bind(socket).expect("bound");
            let answer = move || async move { ([("content-type", "application/json")], body) };
            axum::serve(listener, Router::new().route("/state", get(answer))).await.expect("served");
        });
    }
}

impl Drop for BareAxum {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn requests() {
    let daemon = Daemon::start();
    daemon.with_house();
    let body = daemon.get(LAMP).expect("a state").body;
    let bare = daemon.home().join("bare.sock");
    let _bare = BareAxum::start(&bare, &body);
    let (mut ours, mut theirs) = (Client::to(&daemon.socket()), Client::to(&bare));
    let rate = |client: &mut Client, path: &str| {
        let began = Instant::now();
        for _ in 0..REQUESTS {
            client.ask("GET", path, "");
        }
        REQUESTS as f64 / began.elapsed().as_secs_f64()
    };
    let (mut fast, mut base) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        fast.push(rate(&mut ours, LAMP));
        base.push(rate(&mut theirs, "/state"));
    }
    eprintln!("GET of one state, each round: {fast:.0?} beside {base:.0?}");
    let (fast, base) = (median(fast), median(base));
    tell("GET of one state, beside a bare axum handler", fast, "1/s", Some(base), ">= 0.8x", Some(fast >= 0.8 * base));

    let worker = daemon.wait_state("virtual-house", "running")["pid"].as_i64().expect("a worker");
    let host = pss(daemon.pid().as_raw_nonzero().get().into());
    tell("host PSS, one integration", host, "MB", None, "<= 20", Some(host <= 20.0));
    let worker = pss(worker);
    tell("worker PSS, virtual-house", worker, "MB", None, "<= 3", Some(worker <= 3.0));
}

/// Setting a state of the probe, which only answers: all that is between a client and a plugin, and which hop has what.
fn controls() {
    let timed = |config: &str| {
        let daemon = Daemon::start_with(config);
        daemon.drop_plugin("probe_plugin");
        daemon.cli(&["integration", "activate", "probe", "--yes"]).ok();
        daemon.wait_state("probe", "running");
        let mut client = Client::to(&daemon.socket());
        let get: Vec<f64> = (0..REQUESTS).map(|_| client.ask("GET", POWER, "")).collect();
        let control = format!("{POWER}/control");
        let body = |at: usize| json!({"value": {"on_off": at.is_multiple_of(2)}}).to_string();
        let set: Vec<f64> = (0..REQUESTS).map(|at| client.ask("POST", &control, &body(at))).collect();
        (get, set)
    };
    let (mut get, mut isolated) = timed("");
    let (_, mut near) = timed(IN_PROCESS);
    for (percent, name) in [(50, "p50"), (99, "p99")] {
        let get = percentile(&mut get, percent);
        let (isolated, near) = (percentile(&mut isolated, percent), percentile(&mut near, percent));
        tell(&format!("control, client to plugin and back, isolated, {name}"), isolated, "us", None, "", None);
        tell(&format!("control, client to plugin and back, in-process, {name}"), near, "us", None, "", None);
        let share = |part: f64| part.max(0.0) / isolated * 100.0;
        tell(&format!("  of it client and HTTP (a GET), {name}"), share(get), "%", None, "", None);
        tell(&format!("  of it the worker's process, {name}"), share(isolated - near), "%", None, "", None);
        tell(&format!("  of it daemon and plugin, {name}"), share(near - get), "%", None, "", None);
    }
}

/// The proportional set size of a process, in MB (proc(5), smaps_rollup).
fn pss(pid: i64) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process is there");
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).expect("a Pss line");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).expect("a number") * 1024.0 / 1e6
}

fn readings(hosting: &str, config: &str) {
    let daemon = Daemon::start_with(config);
    daemon.drop_plugin("probe_plugin");
    daemon.cli(&["integration", "activate", "probe", "--yes"]).ok();
    daemon.wait_state("probe", "running");
    let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
    stream.write_all(b"GET /v1/events?states=true&batch=1 HTTP/1.1\r\nhost: g\r\n\r\n").expect("sent");
    let mut lines = BufReader::with_capacity(1 << 20, stream);
    let mut line = Vec::new();
    while !line.starts_with(b"retry:") {
        // The stream's first line: from here on every reading comes.
        line.clear();
        assert!(lines.read_until(b'\n', &mut line).expect("a line") > 0, "the stream never began");
    }
    let socket = daemon.socket();
    let began = Instant::now();
    let emitter = std::thread::spawn(move || {
        let path = format!("/v1/integrations/probe/manage?do=emit&count={READINGS}");
        Client::to(&socket).ask("GET", &path, "");
    });
    let mut seen = 0;
    while seen < READINGS {
        line.clear();
        assert!(lines.read_until(b'\n', &mut line).expect("a line") > 0, "the stream ended at {seen} readings");
        if line.starts_with(b"event: lagged") {
            panic!("the subscriber lagged at {seen} readings");
        }
        // Each reading has one address; counting is all that the subscriber does.
        seen += line.windows(11).filter(|window| window == b"probe:probe").count() as u64;
    }
    let rate = READINGS as f64 / began.elapsed().as_secs_f64();
    emitter.join().expect("emitted");
    let goal = if hosting == "in-process" { ">= 300000" } else { "" };
    let met = (hosting == "in-process").then_some(rate >= 300_000.0);
    tell(&format!("readings to one subscriber of the event stream, {hosting}"), rate, "1/s", None, goal, met);
    let began_commit = began;
    wait_for("all readings in the history", || {
        let database = rusqlite::Connection::open_with_flags(
            daemon.home().join("gatehouse.db"),
            rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
        )
        .map_err(|error| error.to_string())?;
        let count: i64 = database
            .query_row("SELECT count(*) FROM readings", [], |row| row.get(0))
            .map_err(|error| error.to_string())?;
        if count.unsigned_abs() >= READINGS { Ok(()) } else { Err(count.to_string()) }
    });
    let durable = READINGS as f64 / began_commit.elapsed().as_secs_f64();
    tell(&format!("readings in the history, from a plugin, {hosting}"), durable, "1/s", Some(rate), "", None);
}

/// Moves the plugin in and waits until `path` answers what `is_there` takes; milliseconds beyond the stability wait.
fn drop_until(daemon: &Daemon, path: &str, is_there: impl Fn(&Value) -> bool) -> f64 {
    let (part, file) = (daemon.home().join("part"), daemon.plugins().join("libvirtual_house.so"));
    fs::copy(build::plugin_file("virtual_house"), &part).expect("copied");
    let began = Instant::now();
    fs::rename(&part, &file).expect("moved");
    while !daemon.get(path).is_ok_and(|answer| is_there(&answer.json())) {
        assert!(began.elapsed() < Duration::from_secs(30), "{path} never came");
    }
    began.elapsed().as_secs_f64() * 1e3 - STABILITY_MS
}

fn dropped() {
    let daemon = Daemon::start();
    let file = daemon.plugins().join("libvirtual_house.so");
    let (mut listed, mut running) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        listed.push(drop_until(&daemon, "/v1/plugins/libvirtual_house.so", |v| v["decision"] == "accepted"));
        fs::remove_file(&file).expect("removed");
        daemon.wait_decision("libvirtual_house.so", "gone");
    }
    daemon.with_house();
    for _ in 0..ROUNDS {
        fs::remove_file(&file).expect("removed");
        daemon.wait_state("virtual-house", "missing");
        running.push(drop_until(&daemon, "/v1/integrations/virtual-house", |v| v["actual"]["state"] == "running"));
    }
    let (listed, running) = (median(listed), median(running));
    tell("drop to listed, beyond the stability wait of 10 ms", listed, "ms", None, "<= 25", Some(listed <= 25.0));
    tell("drop to running, beyond the stability wait of 10 ms", running, "ms", None, "<= 25", Some(running <= 25.0));
}

fn started(count: usize) {
    let mut daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    for at in 0..count {
        daemon.activate_house(&["--id", &format!("house-{at}")]).ok();
    }
    let mut times = Vec::new();
    let mut worst: f64 = 0.0;
    for _ in 0..3 {
        daemon.end(rustix::process::Signal::TERM);
        let began = Instant::now();
        daemon.serve();
        let mut client = Client::to(&daemon.socket());
        loop {
            worst = worst.max(client.ask("GET", "/v1/status", "") / 1e3);
            let all = daemon.get("/v1/integrations").expect("answered").json();
            let running =
                all.as_array().map_or(0, |all| all.iter().filter(|one| one["actual"]["state"] == "running").count());
            if running == count {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "{running} of {count} run");
        }
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let took = median(times);
    let (goal, met) = if count == 100 { ("<= 2000", Some(took <= 2000.0)) } else { ("", None) };
    tell(&format!("{count} integrations from start to all running"), took, "ms", None, goal, met);
    tell(&format!("worst answer of the API meanwhile, {count} integrations"), worst, "ms", None, "", None);
}
