//! Switched off: SAFE keeps what was and takes it up again, ALL leaves no trace.

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use rusqlite::Connection;
use serde_json::{Value, json};

fn readings(daemon: &Daemon, address: &str) -> Vec<Value> {
    let ran = daemon.cli(&["state", "history", address, "--since", "1h", "--limit", "100000", "--json"]);
    ran.json()["rows"].as_array().expect("rows").clone()
}

fn exists(daemon: &Daemon, id: &str) -> bool {
    daemon.get(&format!("/v1/integrations/{id}")).expect("answered").status == 200
}

/// Rows of a table of the database, as it is on the disk.
fn rows(daemon: &Daemon, table: &str) -> i64 {
    let database = Connection::open(daemon.home().join("gatehouse.db")).expect("opened");
    database.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).expect("counted")
}

#[test]
fn safe_keeps_history_and_what_a_person_made_and_takes_it_up_again() {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon.cli(&["entity", "rename", "virtual-house:lamp", "Reading lamp"]).ok();
    wait_for("the light in the history", || {
        let rows = readings(&daemon, "virtual-house:lamp/power");
        if rows.iter().any(|row| row["value"] == json!({"on_off": true})) { Ok(()) } else { Err(rows) }
    });
    let off = daemon.cli(&["integration", "deactivate", "virtual-house", "--safe", "--yes"]);
    for part in ["Nothing moves in the house while it is off", "settings are erased", "history stays"] {
        assert!(off.ok().contains(part), "{part}: {}", off.stdout);
    }
    let view = daemon.wait_state("virtual-house", "off");
    assert_eq!(view["attributes"], json!({}), "no setting is left: {view}");

    // What a person named is shown as detached; what nobody touched is hidden, and still there.
    let entities = |more: &str| {
        let path = format!("/v1/entities?integration=virtual-house{more}");
        let list = daemon.get(&path).expect("answered").json();
        let pair = |entity: &Value| format!("{} {}", entity["address"], entity["attachment"]).replace('"', "");
        list.as_array().expect("a list").iter().map(pair).collect::<Vec<_>>()
    };
    let before = readings(&daemon, "virtual-house:lamp/power");
    assert!(!before.is_empty());
    assert_eq!(entities(""), ["virtual-house:lamp detached"]);
    assert!(entities("&all=1").contains(&"virtual-house:meter hidden".to_owned()), "{:?}", entities("&all=1"));
    let listed = daemon.cli(&["entity", "list", "--all"]);
    assert!(listed.ok().contains("Reading lamp") && listed.stdout.contains("detached"), "{}", listed.stdout);

    daemon.activate_house(&[]).ok();
    daemon.wait_state("virtual-house", "running");
    let lamp = daemon.cli(&["entity", "show", "virtual-house:lamp", "--json"]).json();
    assert_eq!(lamp["label"], "Reading lamp", "{lamp}");
    let after = readings(&daemon, "virtual-house:lamp/power");
    assert_eq!(after[..before.len()], before[..], "the history goes on where it was");
    daemon.cli(&["control", "virtual-house:lamp/power", "off"]).ok();
}

#[test]
fn safe_keeps_the_settings_when_asked_to() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    daemon.activate_house(&["--set", "name=Villa", "--set", "season=winter"]).ok();
    daemon.cli(&["integration", "deactivate", "virtual-house", "--keep-settings", "--yes"]).ok();
    let view = daemon.wait_state("virtual-house", "off");
    assert_eq!(view["attributes"]["season"], "winter", "{view}");
    // The next activation offers them.
    daemon.cli(&["integration", "activate", "virtual-house", "--choose", "furnished", "--yes"]).ok();
    let view = daemon.wait_state("virtual-house", "running");
    assert_eq!((&view["attributes"]["season"], &view["title"]), (&json!("winter"), &json!("Villa")), "{view}");
}

#[test]
fn all_wants_the_id_typed_and_leaves_no_trace() {
    let daemon = Daemon::start();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=emit", "count=30000"]);
    daemon.ask_probe("probe", &["do=keep", "key=place", "text=attic"]);
    daemon.with_house();
    wait_for("the neighbour's readings beside the 30,000", || {
        let rows = rows(&daemon, "readings");
        if rows > 30_000 { Ok(()) } else { Err(rows) }
    });

    // Nobody is asked without a terminal, so --all alone does nothing but say what to do.
    let unasked = daemon.cli(&["integration", "deactivate", "probe", "--all", "--yes"]);
    assert!(unasked.failed(2).contains("--purge --yes"), "{}", unasked.stderr);
    let wrong = daemon.cli(&["integration", "deactivate", "probe", "--all", "--set", "delete_all.id=prob"]);
    assert!(wrong.code != 0 && wrong.stderr.contains("prob"), "{wrong:?}");
    assert!(exists(&daemon, "probe"));
    daemon.wait_state("probe", "running");

    let typed = daemon.cli(&["integration", "deactivate", "probe", "--all", "--set", "delete_all.id=probe"]);
    assert!(typed.ok().contains("everything of it is deleted"), "{}", typed.stdout);
    assert!(!exists(&daemon, "probe"));
    let count = "SELECT count(*) FROM entities WHERE integration_id = 'probe'";
    let database = Connection::open(daemon.home().join("gatehouse.db")).expect("opened");
    assert_eq!(database.query_row(count, (), |row| row.get::<_, i64>(0)).expect("counted"), 0);
    assert!(!daemon.home().join("data/probe").exists());
    // Its neighbour has lost nothing.
    daemon.wait_state("virtual-house", "running");
    assert!(!readings(&daemon, "virtual-house:lamp/power").is_empty());
    // Anew, it knows nothing of before.
    daemon.cli(&["integration", "activate", "probe", "--yes"]).ok();
    daemon.wait_state("probe", "running");
    assert_eq!(daemon.ask_probe("probe", &["do=keys"]).trim(), "");
    assert!(readings(&daemon, "probe:probe/count").is_empty());
}

#[test]
fn all_tells_how_far_it_has_come_and_goes_on_when_nobody_listens() {
    let daemon = Daemon::start();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=emit", "count=60000"]);
    let flow = daemon.send("POST", "/v1/flows", &json!({"kind": "deactivate", "integration": "probe"})).json();
    let id = flow["flow_id"].as_str().expect("a flow").to_owned();
    let step = |name: &str, values: Value| {
        let path = format!("/v1/flows/{id}/steps/{name}");
        daemon.send("POST", &path, &json!({ "values": values })).json()
    };
    let described = flow["state"]["step"]["step"]["description"].as_str().expect("a text").to_owned();
    assert!(described.contains("60000 readings"), "{described}");
    let asked = step("deactivate", json!({"mode": "all", "keep_settings": "off"}));
    assert_eq!(asked["state"]["step"]["step"]["step_id"], "delete_all", "{asked}");
    let wrong = step("delete_all", json!({"id": "prob"}));
    assert_eq!(wrong["state"]["step"]["step"]["errors"]["id"], "is not \"probe\"", "{wrong}");

    // Answered with progress or, where the disk is quick, with the end; in both cases the work goes on by itself.
    let begun = step("delete_all", json!({"id": "probe"}));
    let message = begun["state"]["step"]["step"]["message"].as_str();
    assert!(
        begun["state"]["done"].is_object() || message.is_some_and(|text| text.contains("rows are deleted so far")),
        "{begun}"
    );
    wait_for("the probe to be deleted", || if exists(&daemon, "probe") { Err("it is there") } else { Ok(()) });
    wait_for("no reading to be left", || match rows(&daemon, "readings") {
        0 => Ok(()),
        left => Err(left),
    });
}
