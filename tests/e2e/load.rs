//! More than the daemon takes: it bounds what may grow, says so, and is itself again when the load goes.
//!
//! `GATEHOUSE_SUBSCRIBERS` and `GATEHOUSE_CONNECTIONS` are how many there are at once.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::exposition::Exposition;
use gatehouse_tests::figure::figure;
use gatehouse_tests::wait::{BOUND, wait_for};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn many(name: &str, otherwise: usize) -> usize {
    // Each end of each connection is a descriptor of this process or the daemon's.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("raised");
    std::env::var(name).ok().and_then(|count| count.parse().ok()).unwrap_or(otherwise)
}

fn metric(daemon: &Daemon, name: &str) -> f64 {
    let text = daemon.get("/v1/metrics").expect("answered").body;
    Exposition::parse(&text).expect("well formed").value(name, &[]).unwrap_or(0.0)
}

fn connect(daemon: &Daemon) -> UnixStream {
    let stream = UnixStream::connect(daemon.socket()).expect("the daemon listens");
    stream.set_read_timeout(Some(BOUND)).expect("a bound");
    stream
}

/// What the daemon says until it closes the connection; how it closes does not matter.
fn heard(mut stream: UnixStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn subscribers_that_do_not_read_are_dropped_and_memory_stays_flat() {
    let count = many("GATEHOUSE_SUBSCRIBERS", 100);
    let daemon = Daemon::start_with("[api]\nwrite_within_ms = 500\n[history]\nsubscriber_rows = 5000\n");
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=emit", "count=20000"]);
    let resident = || metric(&daemon, "process_resident_memory_bytes");
    let before = resident();
    let subscribers: Vec<_> = (0..count)
        .map(|_| {
            let mut stream = connect(&daemon);
            stream.write_all(b"GET /v1/events?states=1 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
            stream
        })
        .collect();
    wait_for("all of them to be subscribed", || match metric(&daemon, "gatehouse_subscribers") {
        now if now >= count as f64 => Ok(()),
        now => Err(now),
    });
    daemon.ask_probe("probe", &["do=emit", "count=20000"]);
    wait_for("all of them to be dropped", || match metric(&daemon, "gatehouse_subscribers") {
        0.0 => Ok(()),
        now => Err(now),
    });
    // What a connection costs while its reader sleeps, and what the ring costs once: not a queue for each.
    let grown = resident() - before;
    assert!(grown < 32e6 + 100e3 * count as f64, "{grown} bytes more with {count} subscribers");
    figure(&format!("{count} subscribers that do not read: {:.1} MB more in the daemon", grown / 1e6));
    drop(subscribers);
    daemon.ask_probe("probe", &["do=echo", "text=well"]);
}

#[test]
fn a_subscriber_that_reads_slowly_is_dropped_with_a_token_that_leads_on() {
    let daemon = Daemon::start_with("[api]\nwrite_within_ms = 600000\n[history]\nsubscriber_rows = 1000\n");
    daemon.with_probe();
    let mut slow = daemon.events("/v1/events?states=1", None);
    slow.find("committed", |_| true);
    // Until it is too far behind: it reads nothing meanwhile.
    wait_for("it to be too slow", || {
        daemon.ask_probe("probe", &["do=emit", "count=3000"]);
        let costs = daemon.get("/v1/costs").expect("answered").json();
        if costs["integrations"][0]["readings"].as_u64() > Some(8_000) { Ok(()) } else { Err(costs) }
    });
    let lagged = slow.find("lagged", |_| true);
    let token = lagged.data["resume"].as_str().expect("a token").to_owned();
    assert!(slow.next().is_none(), "the stream has ended");
    let mut again = daemon.events("/v1/events?states=1", Some(&token));
    let first = again.next().expect("it goes on");
    assert!(["state", "committed", "reset"].contains(&first.name.as_str()), "{first:?}");
    assert!(metric(&daemon, "gatehouse_subscribers_lagged_total") >= 1.0);
}

#[test]
fn connections_beyond_the_bound_hear_why_and_idle_ones_are_closed() {
    let count = many("GATEHOUSE_CONNECTIONS", 200);
    let most = count / 2;
    let daemon = Daemon::start_with(&format!("[api]\nconnections = {most}\nhead_within_ms = 3000\n"));
    let open: Vec<_> = (0..count).map(|_| connect(&daemon)).collect();
    // One that comes now finds no room, whichever of the others did.
    let answer = wait_for("one to be turned away", || {
        let mut late = connect(&daemon);
        // With many at once some are closed without a word.
        let _ = late.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = heard(late);
        if answer.starts_with("HTTP/1.1 503") { Ok(answer) } else { Err(answer) }
    });
    for part in ["\"busy\"", "api.connections", &most.to_string(), "retry-after"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    // They asked nothing, so they are closed, and everybody is served again.
    wait_for("room", || match daemon.get("/v1/status") {
        Ok(answer) if answer.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    for stream in open {
        let _ = heard(stream);
    }
    wait_for("the connections to be gone", || match metric(&daemon, "gatehouse_connections") {
        now if now <= 2.0 => Ok(()),
        now => Err(now),
    });
    let refused = metric(&daemon, "gatehouse_connections_refused_total");
    assert!(refused >= 1.0);
    figure(&format!("{count} connections, {most} of them allowed, {refused} turned away"));
}

#[test]
fn heads_and_bodies_that_trickle_are_cut_off() {
    let daemon = Daemon::start_with("[api]\nhead_within_ms = 200\nbody_within_ms = 200\n");
    let mut head = connect(&daemon);
    head.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nx-slow: ").expect("sent");
    assert!(!heard(head).contains("200 OK"));
    let mut body = connect(&daemon);
    let text = "POST /v1/flows HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    body.write_all(text.as_bytes()).expect("sent");
    let answer = heard(body);
    assert!(answer.contains("HTTP/1.1 408") && answer.contains("the body took longer than 200ms"), "{answer}");
    let mut large = connect(&daemon);
    let name = "x".repeat(200_000);
    // It may close before all is sent.
    let _ = large.write_all(format!("GET /v1/status HTTP/1.1\r\nhost: x\r\nx-large: {name}\r\n\r\n").as_bytes());
    let answer = heard(large);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(daemon.get("/v1/status").expect("answered").status, 200);
}

#[test]
fn floods_of_a_plugin_are_cut_with_a_count_and_lose_nothing_acknowledged() {
    let daemon = Daemon::start();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=log-flood", "count=20000"]);
    let of = [("integration", "probe")];
    let dropped = wait_for("the count", || {
        let text = daemon.get("/v1/metrics").expect("answered").body;
        let read = Exposition::parse(&text).expect("well formed");
        match read.value("gatehouse_integration_log_events_dropped_total", &of) {
            Some(count) if count > 0.0 => Ok(count),
            other => Err(other),
        }
    });
    let status = daemon.get("/v1/status").expect("answered").json();
    assert!(status["log"]["dropped"].as_f64() >= Some(dropped), "{status}");
    let refused = daemon.cli(&["integration", "manage", "probe", "do=declare", "count=10001"]);
    assert!(refused.failed(1).contains("10000"), "{}", refused.stderr);
    // Without a pause, and everything that was flushed is there.
    daemon.ask_probe("probe", &["do=emit", "count=30000"]);
    let page = daemon.get("/v1/states/probe:probe%2Fcount/history?since_ms=0&limit=40000").expect("answered").json();
    assert_eq!(page["rows"].as_array().map(Vec::len), Some(30_000));
}

#[test]
fn a_database_that_another_process_holds_is_waited_for() {
    let mut daemon = Daemon::start();
    daemon.with_probe();
    let hold = || {
        let connection = rusqlite::Connection::open(daemon.home().join("gatehouse.db")).expect("opened");
        connection.busy_timeout(BOUND).expect("a bound");
        connection.execute_batch("BEGIN EXCLUSIVE").expect("held");
        connection
    };
    let problem = || daemon.get("/v1/status").expect("answered").json()["database_problem"].to_string();
    let held = hold();
    let refused = daemon.cli(&["integration", "manage", "probe", "do=emit", "count=5"]);
    assert!(refused.failed(1).contains("locked by another process"), "{}", refused.stderr);
    assert!(problem().contains("locked by another process"), "{}", problem());
    // What needs no database goes on.
    daemon.cli(&["control", "probe:probe/power", "on"]).ok();
    daemon.wait_text("probe:probe/power", "on");
    drop(held);
    wait_for("the history to be written again", || if problem() == "\"\"" { Ok(()) } else { Err(problem()) });
    daemon.ask_probe("probe", &["do=emit", "count=7"]);

    // At its start it waits, and says for what.
    daemon.end(rustix::process::Signal::TERM);
    let held = rusqlite::Connection::open(daemon.home().join("gatehouse.db")).expect("opened");
    // Not even a reader gets in.
    held.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("held");
    std::thread::scope(|scope| {
        let log = daemon.log_file();
        scope.spawn(move || {
            wait_for("the daemon to say what it waits for", || {
                let text = fs::read_to_string(&log).unwrap_or_default();
                if text.contains("waiting for the database") { Ok(()) } else { Err(text) }
            });
            drop(held);
        });
        daemon.serve();
    });
    daemon.wait_state("probe", "running");
}

#[test]
fn a_home_that_may_not_be_written_stops_what_needs_it_alone() {
    // Root may write anywhere.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut daemon = Daemon::prepare_as(QUICK, 3_999);
    daemon.serve();
    daemon.with_probe();
    let closed = ["", "data", "data/probe"].map(|name| daemon.home().join(name));
    let mode = |mode: u32| {
        for folder in &closed {
            fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
        }
    };
    mode(0o500);
    daemon.drop_plugin("virtual_house");
    let refused = daemon.activate_house(&[]);
    assert!(refused.failed(1).contains("cannot be made"), "{}", refused.stderr);
    // What runs goes on, history and control included.
    daemon.ask_probe("probe", &["do=emit", "count=50"]);
    daemon.cli(&["control", "probe:probe/power", "on"]).ok();
    daemon.wait_text("probe:probe/power", "on");

    mode(0o700);
    daemon.activate_house(&[]).ok();
    daemon.wait_state("virtual-house", "running");
}

#[test]
fn a_database_that_may_not_be_written_at_the_start_is_refused_in_a_sentence() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut daemon = Daemon::prepare_as(QUICK, 3_997);
    daemon.serve();
    daemon.end(rustix::process::Signal::TERM);
    let database = daemon.home().join("gatehouse.db");
    let mode =
        |mode| fs::set_permissions(&database, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
    mode(0o400);
    let refused = daemon.cli(&["serve"]);
    let text = refused.failed(1);
    assert!(text.contains(&*database.to_string_lossy()) && text.contains("for writing"), "{text}");
    mode(0o600);
    daemon.serve();
}
