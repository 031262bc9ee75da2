//! The upstream's entities read as one snapshot: through the boundary, both ways of hosting.

use gatehouse_tests::daemon::Daemon;
use serde_json::{Value, json};

fn entities(daemon: &Daemon) -> Vec<String> {
    let list = daemon.get("/v1/entities?integration=probe&all=1").expect("answered").json();
    let pair = |entity: &Value| format!("{} {}", entity["address"], entity["attachment"]).replace('"', "");
    list.as_array().expect("a list").iter().map(pair).collect()
}

fn imports_what_the_upstream_has(config: &str, hosting: &str) {
    let daemon = Daemon::start_with(config);
    daemon.with_probe();
    assert_eq!(daemon.wait_state("probe", "running")["hosting"], hosting);
    // One that was told of no upstream has no snapshot to give, and is none the worse for it.
    let none = daemon.cli(&["integration", "synchronize", "probe"]);
    assert!(
        none.failed(1).contains("no list of entities to give: the probe was told of no upstream"),
        "{}",
        none.stderr
    );
    assert_eq!(entities(&daemon), ["probe:probe attached"]);

    let synchronized = |names: &str| {
        daemon.ask_probe("probe", &["do=upstream", &format!("names={names}")]);
        let answer = daemon.send("POST", "/v1/integrations/probe/synchronize", &json!({}));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer = answer.json();
        ["created", "updated", "reconnected", "detached"].map(|count| answer[count].as_u64().expect("a count"))
    };
    assert_eq!(synchronized("lamp,plug"), [2, 0, 0, 1], "what it declared before is not in the snapshot");
    assert_eq!(entities(&daemon), ["probe:lamp attached", "probe:plug attached", "probe:probe detached"]);
    assert_eq!(synchronized("lamp"), [0, 0, 0, 1]);
    assert_eq!(entities(&daemon), ["probe:lamp attached", "probe:plug detached", "probe:probe detached"]);
    assert_eq!(synchronized("lamp,plug"), [0, 0, 1, 0], "what comes back is taken up again");
    assert_eq!(synchronized("lamp,plug"), [0, 0, 0, 0]);
}

#[test]
fn a_worker_imports_what_its_upstream_has() {
    imports_what_the_upstream_has("", "isolated");
}

#[test]
fn an_in_process_gateway_imports_what_its_upstream_has() {
    imports_what_the_upstream_has("[integration.probe]\nhosting = \"in_process\"\n", "in_process");
}
