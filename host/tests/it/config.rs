//! The configuration file: what is read, what is refused and how, and that no key is undocumented.

use std::collections::BTreeSet;

use gatehouse_host::config::keys::{KEYS, PER_INTEGRATION};
use gatehouse_host::config::{Config, OneIntegration, reference, show};
use gatehouse_host::gateway::Hosting;

fn problems(text: &str) -> String {
    match Config::parse(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
    assert_eq!(Config::parse("# nothing\n[log]\n").unwrap(), Config::default());
}

#[test]
fn every_kind_of_value_is_read() {
    let config = Config::parse(
        "[plugins]\nstable_for_ms = 250\n[integrations]\nbackoff_ms = [10, 20]\n[history]\ndurability = \"full\"\n\
         [log]\nfilter = \"warn,gatehouse_host=debug\"\n[integration.hass-cabin]\nhosting = \"in_process\"\n",
    )
    .unwrap();
    assert_eq!(config.plugins.stable_for_ms, 250);
    assert_eq!(config.integrations.backoff_ms, [10, 20]);
    assert_eq!(config.integration["hass-cabin"].hosting, Some(Hosting::InProcess));
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let text = "\
keep_days = 3
[plugin]
[plugins]
stable_for_m = 5
rescan_every_ms = \"often\"
max_file_mb = 0
[integrations]
backoff_ms = []
start_parallel = 1.5
[history]
durability = \"ful\"
commit_every_ms = -3
[log]
filter = \"gatehouse=lots\"
[integration]
hosting = \"isolated\"
[integration.Hass]
[integration.hass]
hosting = \"thread\"
";
    insta::assert_snapshot!(problems(text));
}

#[test]
fn entries_of_a_list_are_judged_one_by_one() {
    insta::assert_snapshot!(problems("[integrations]\nbackoff_ms = [\n  100,\n  0,\n  \"x\",\n]\n"), @r#"
    4:3: integrations.backoff_ms is 0: it must be 1 to 86400000
    5:3: integrations.backoff_ms takes whole numbers of milliseconds and got the text "x"
    "#);
}

#[test]
fn a_syntax_error_has_its_line() {
    let told = problems("[log]\nfilter = \"info\nkeep_lines = 5\n");
    assert!(told.starts_with("2:"), "{told}");
    let told = problems("[log]\nkeep_lines = 5\nkeep_lines = 6\n");
    assert!(told.starts_with("3:1:"), "{told}");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let mut config = Config::default();
    config.log.filter = "warn,\"x\"=debug".into();
    config
        .integration
        .insert("hass".into(), OneIntegration { hosting: Some(Hosting::InProcess), ..OneIntegration::default() });
    let text = show(&Config { log: Config::default().log, ..config.clone() });
    assert_eq!(Config::parse(&text).unwrap(), Config { log: Config::default().log, ..config });
    insta::assert_snapshot!(text);
}

/// Every field of the structs has a row in the table of keys and the other way round.
#[test]
fn the_table_of_keys_is_complete() {
    let mut config = Config::default();
    config.integration.insert(
        "ID".into(),
        OneIntegration { hosting: Some(Hosting::Isolated), log: Some("info".into()), sandbox_trace: Some(false) },
    );
    let values = toml::Value::try_from(&config).unwrap();
    let mut fields = BTreeSet::new();
    for (table, entries) in values.as_table().unwrap() {
        if table == "integration" {
            fields.extend(entries["ID"].as_table().unwrap().keys().map(|key| format!("{PER_INTEGRATION}.{key}")));
        } else {
            fields.extend(entries.as_table().unwrap().keys().map(|key| format!("{table}.{key}")));
        }
    }
    let rows: BTreeSet<_> = KEYS.iter().map(|key| format!("{}.{}", key.table, key.name)).collect();
    assert_eq!(fields, rows);
}

/// `docs/config.md` is made from the table: `UPDATE_DOCS=1` writes it anew.
#[test]
fn the_reference_is_up_to_date() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, reference()).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == reference(), "docs/config.md is out of date: run the tests with UPDATE_DOCS=1 and commit it");
}
