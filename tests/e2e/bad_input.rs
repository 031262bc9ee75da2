//! Wrong input to every command, in one table: a sentence that names the field, the file or the flag, and the exit code.

use gatehouse_tests::daemon::Daemon;

/// What is typed, the exit code, and what the sentence must name.
const TABLE: &[(&[&str], i32, &[&str])] = &[
    (&["statsu"], 2, &["statsu", "status"]),
    (&["status", "--jsn"], 2, &["--jsn", "--json"]),
    (&["--color", "pink", "status"], 2, &["--color", "pink", "auto"]),
    (&["serve", "--config", "/nowhere/gatehouse.toml"], 1, &["/nowhere/gatehouse.toml"]),
    (&["config", "check", "/nowhere/gatehouse.toml"], 1, &["/nowhere/gatehouse.toml"]),
    (&["config", "show", "/"], 1, &["/"]),
    (&["plugin", "show", "virtual-hose"], 1, &["virtual-hose", "virtual-house"]),
    (&["plugin", "why", "../../etc/passwd"], 1, &["../../etc/passwd"]),
    (&["plugin", "inspect", "/nowhere.so"], 1, &["/nowhere.so"]),
    (&["plugin", "inspect", "/"], 1, &["/"]),
    (&["plugin", "new", "Not A Name"], 2, &["Not A Name"]),
    (&["plugin", "new", "weather", "--path", "/nowhere"], 2, &["/nowhere"]),
    (&["integration", "show", "virtual-hose"], 1, &["virtual-hose", "virtual-house"]),
    (&["integration", "show", "Not An Id"], 2, &["Not An Id"]),
    (&["integration", "activate", "virtual-hose", "--yes"], 1, &["virtual-hose", "virtual-house"]),
    (&["integration", "activate", "virtual-house", "--id", "UPPER", "--yes"], 2, &["--id", "UPPER"]),
    (&["integration", "activate", "virtual-house", "--id", "b", "--set", "rooms", "--yes"], 2, &["--set rooms", "="]),
    (
        &[
            "integration",
            "activate",
            "virtual-house",
            "--id",
            "b",
            "--choose",
            "furnished",
            "--set-file",
            "alarm_code=/nowhere",
            "--yes",
        ],
        1,
        &["/nowhere"],
    ),
    (&["integration", "deactivate", "virtual-hose", "--yes"], 1, &["virtual-hose", "virtual-house"]),
    (&["integration", "deactivate", "virtual-house", "--safe", "--all"], 2, &["--safe", "--all"]),
    (&["integration", "deactivate", "virtual-house"], 2, &["virtual-house", "--yes"]),
    (&["integration", "deactivate", "virtual-house", "--purge"], 2, &["everything of it", "--yes"]),
    (&["integration", "pause", "virtual-hose"], 1, &["virtual-hose", "virtual-house"]),
    (&["integration", "resume", ""], 2, &["<ID>"]),
    (&["integration", "synchronize", "virtual-house"], 1, &["virtual-house"]),
    (&["integration", "set", "virtual-house"], 2, &["KEY=VALUE"]),
    (&["integration", "set", "virtual-house", "pase=1s"], 2, &["pase", "pace"]),
    (&["integration", "set", "virtual-house", "pace=never"], 1, &["pace", "never"]),
    (&["integration", "set", "virtual-house", "rooms=5"], 1, &["rooms"]),
    (&["integration", "set", "virtual-house", "alarm_code=1234"], 2, &["alarm_code", "--set-file"]),
    (&["integration", "set", "virtual-house", "--set-file", "alarm_code"], 2, &["--set-file alarm_code", "="]),
    (&["integration", "manage", "virtual-house", "page"], 2, &["page", "="]),
    (&["integration", "manage", "virtual-house", "page=cellar"], 1, &["cellar", "rooms"]),
    (&["entity", "list", "--integration", "Not An Id"], 2, &["--integration", "Not An Id"]),
    (&["entity", "show", "lamp"], 2, &["lamp", "INTEGRATION:ENTITY"]),
    (&["entity", "show", "virtual-house:lamb"], 1, &["virtual-house:lamb", "virtual-house:lamp"]),
    (&["entity", "rename", "virtual-house:lamp", "two\nlines"], 1, &["label", "control character"]),
    (&["entity", "snapshot", "virtual-house:lamp"], 1, &["lamp has no image"]),
    (&["entity", "snapshot", "virtual-house:door-camera", "--out", "/nowhere/door.svg"], 1, &["/nowhere/door.svg"]),
    (&["state", "get", "virtual-house:lamp/powr"], 1, &["virtual-house:lamp/powr", "power"]),
    (&["state", "get", "nothing*"], 1, &["nothing*"]),
    (&["state", "watch", "virtual-house:lamp/powr"], 1, &["virtual-house:lamp/powr"]),
    (&["state", "history", "virtual-house:lamp"], 2, &["virtual-house:lamp", "INTEGRATION:ENTITY/STATE"]),
    (&["state", "history", "virtual-house:lamp/power", "--since", "yesterday"], 2, &["--since", "yesterday"]),
    (&["state", "history", "virtual-house:lamp/power", "--limit", "0"], 2, &["--limit", "0"]),
    (&["control", "lamp", "on"], 2, &["lamp", "INTEGRATION:ENTITY/STATE"]),
    (&["control", "virtual-house:lamp/power", "maybe"], 1, &["virtual-house:lamp/power", "maybe"]),
    (&["control", "virtual-house:lamp/brightness", "300"], 1, &["virtual-house:lamp/brightness", "300", "100"]),
    (&["control", "virtual-house:door/open", "on"], 1, &["virtual-house:door/open", "only sensed"]),
    (&["control", "virtual-house:lamp/power", "on", "--payload", "{"], 2, &["--payload"]),
    (&["log", "--level", "loud"], 2, &["--level", "loud", "warn"]),
    (&["log", "--integration", "virtual-hose"], 1, &["virtual-hose", "virtual-house"]),
    (&["log", "--lines", "many"], 2, &["--lines", "many"]),
    (&["completion", "tcl"], 2, &["tcl", "bash"]),
];

#[test]
fn every_wrong_input_gets_a_sentence_and_no_panic() {
    let daemon = Daemon::start();
    daemon.with_house();
    let mut wrong = Vec::new();
    for (typed, code, names) in TABLE {
        let ran = daemon.cli(typed);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        // Long sentences are broken into lines on their way.
        let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let panicked =
            ["panicked", "RUST_BACKTRACE", "stack backtrace", "unwrap()"].iter().any(|word| told.contains(word));
        let unnamed: Vec<_> = names
            .iter()
            .filter(|name| !words.contains(&name.split_whitespace().collect::<Vec<_>>().join(" ")))
            .collect();
        if ran.code != *code || panicked || !unnamed.is_empty() {
            wrong.push(format!("{typed:?}: exit {}, not named {unnamed:?}\n{told}", ran.code));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(daemon.get("/v1/status").expect("still served").status, 200);
}
