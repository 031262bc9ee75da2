//! Who costs what: the counters against what was done, as a table and as Prometheus reads it; the log's level of one
//! integration.

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::exposition::Exposition;
use gatehouse_tests::wait::wait_for;
use serde_json::json;

fn metrics(daemon: &Daemon) -> Exposition {
    let answer = daemon.get("/v1/metrics").expect("answered");
    assert_eq!(answer.status, 200, "{}", answer.body);
    Exposition::parse(&answer.body).unwrap_or_else(|wrong| panic!("{wrong}\n{}", answer.body))
}

#[test]
fn counters_are_what_was_done_and_a_deleted_integration_is_not_told_of() {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.with_probe();
    let before = metrics(&daemon);
    let of = [("integration", "probe")];
    let calls = "gatehouse_integration_call_duration_seconds_count";
    daemon.ask_probe("probe", &["do=emit", "count=30"]);
    for value in ["on", "off", "on"] {
        daemon.cli(&["control", "probe:probe/power", value]).ok();
    }
    daemon.cli(&["integration", "manage", "probe", "do=panic"]).failed(1);
    let after = metrics(&daemon);
    let grew = |name: &str, labels: &[(&str, &str)]| {
        after.value(name, labels).unwrap_or(0.0) - before.value(name, labels).unwrap_or(0.0)
    };
    assert_eq!(grew("gatehouse_integration_readings_total", &of), 33.0);
    assert_eq!(grew(calls, &[of[0], ("operation", "control")]), 3.0);
    assert_eq!(grew(calls, &[of[0], ("operation", "page")]), 2.0);
    assert_eq!(grew("gatehouse_integration_call_failures_total", &[of[0], ("code", "panicked")]), 1.0);
    assert_eq!(grew("gatehouse_integration_restarts_total", &of), 0.0);
    assert_eq!(after.value("gatehouse_integration_up", &of), Some(1.0));
    for gauge in ["resident_memory_bytes", "threads", "open_fds"] {
        assert!(after.value(&format!("gatehouse_integration_{gauge}"), &of) > Some(0.0), "{gauge}");
    }
    for own in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"] {
        assert!(after.value(own, &[]) > Some(0.0), "{own}");
    }

    // A death is a crash and a restart; the counts go on.
    daemon.spawn(&["integration", "manage", "probe", "do=abort"]).wait().expect("it ends");
    wait_for("the restart", || {
        let now = metrics(&daemon);
        let counts = ["crashes", "restarts"].map(|name| now.value(&format!("gatehouse_integration_{name}_total"), &of));
        if counts == [Some(1.0); 2] { Ok(()) } else { Err(counts) }
    });
    let now = metrics(&daemon);
    assert!(
        now.value("gatehouse_integration_readings_total", &of)
            >= after.value("gatehouse_integration_readings_total", &of)
    );
    assert_eq!(now.values_of("integration"), ["probe", "virtual-house"].into());

    daemon.cli(&["integration", "deactivate", "probe", "--purge", "--yes"]).ok();
    assert_eq!(metrics(&daemon).values_of("integration"), ["virtual-house"].into());
    let command = daemon.cli(&["metrics"]);
    Exposition::parse(command.ok()).expect("the command prints the same");
}

#[test]
fn the_table_has_the_costliest_first_and_is_live_on_a_terminal() {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.with_probe();
    let once = daemon.cli(&["top", "--once", "--every", "50ms"]);
    for part in ["INTEGRATION", "CPU %", "probe", "virtual-house"] {
        assert!(once.ok().contains(part), "{part}: {}", once.stdout);
    }
    // A second look, while one of them works hard.
    let mut busy = daemon.spawn(&["integration", "manage", "probe", "do=emit", "count=1000000"]);
    wait_for("the probe to be the costliest", || {
        let top = daemon.cli(&["top", "--json", "--every", "300ms", "--proportional"]).json();
        let first = &top["integrations"][0];
        let is_it = first["id"] == "probe"
            && first["readings_per_second"].as_f64() > Some(0.0)
            && first["process"]["proportional_bytes"].as_u64() > Some(0);
        if is_it { Ok(()) } else { Err(top) }
    });
    busy.kill().expect("ended");
    busy.wait().expect("it ends");
    let mut terminal = daemon.terminal(&["top", "--every", "50ms"]);
    let screen = terminal.wait_screen("both", |screen| screen.contains("probe") && screen.contains("virtual-house"));
    assert!(screen.contains("daemon ") && screen.contains("CPU %"), "{screen}");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    assert!(daemon.cli(&["top", "--every", "soon"]).failed(2).contains("30s"), "how a span is written");
}

#[test]
fn the_level_of_one_integration_is_changed_while_it_runs() {
    let daemon = Daemon::start_with("[log]\nplugin_filter = \"warn\"\n");
    daemon.with_probe();
    let pid = daemon.wait_state("probe", "running")["pid"].clone();
    let lines = |text: &str| {
        daemon.ask_probe("probe", &["do=log", &format!("text={text}")]);
        daemon.cli(&["log", "--integration", "probe", "--level", "trace"]).ok().contains(text)
    };
    assert!(!lines("unheard"), "info is not logged");
    let told = daemon.cli(&["integration", "log-level", "probe", "info"]);
    assert!(told.ok().contains("until the daemon restarts"), "{}", told.stdout);
    wait_for("the line", || if lines("heard") { Ok(()) } else { Err("not there") });
    assert_eq!(daemon.wait_state("probe", "running")["pid"], pid, "in force without a restart");
    assert_eq!(daemon.wait_state("probe", "running")["log_filter"], "info");
    assert!(daemon.cli(&["integration", "show", "probe"]).ok().contains("info, until the daemon restarts"));
    // A worker that is started anew has it too.
    daemon.cli(&["integration", "pause", "probe"]).ok();
    daemon.cli(&["integration", "resume", "probe"]).ok();
    wait_for("the line of the new worker", || if lines("again") { Ok(()) } else { Err("not there") });
    // What the host says about it follows too: a debug line of its worker's start.
    daemon.cli(&["integration", "log-level", "probe", "debug"]).ok();
    daemon.cli(&["integration", "pause", "probe"]).ok();
    daemon.cli(&["integration", "resume", "probe"]).ok();
    let log = daemon.cli(&["log", "--integration", "probe", "--level", "debug", "-n", "2000"]);
    assert!(log.ok().contains("worker running"), "{}", log.stdout);

    let back = daemon.cli(&["integration", "log-level", "probe", "default"]);
    assert!(back.ok().contains("logs warn, as configured"), "{}", back.stdout);
    assert!(!lines("unheard-again"));
    let wrong = daemon.cli(&["integration", "log-level", "probe", "a=b=c"]);
    assert!(wrong.failed(1).contains("a=b=c") && wrong.stderr.contains("MODULE=LEVEL"), "{}", wrong.stderr);
    let nobody = daemon.send("POST", "/v1/integrations/prob/log-level", &json!({"filter": "info"}));
    assert_eq!((nobody.status, nobody.json()["code"].as_str()), (404, Some("not_found")), "{}", nobody.body);
}
