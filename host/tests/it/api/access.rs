//! What groups are given over the socket, and what is kept of what their members change.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::Duration;

use gatehouse_host::api::access::Access;
use gatehouse_host::api::client::Client;
use gatehouse_host::api::types::{AuditEntry, Done, Integration, Status};
use gatehouse_host::config;
use gatehouse_host::home::Home;
use rustix::process::{Gid, Uid};
use tempfile::TempDir;

use super::daemon::Daemon;

/// Names the home that the probe asks.
const PROBE: &str = "GATEHOUSE_TEST_ACCESS";
/// A user that the daemon does not run as, and groups that no user has.
const OTHER_USER: u32 = 65_534;
const READERS: u32 = 42_001;
const CONTROLLERS: u32 = 42_002;

/// Not a test by itself: run as another user, it tells what that user may do.
#[tokio::test]
async fn probe_as_a_member() {
    let Some(home) = std::env::var_os(PROBE) else { return };
    let client = Client::new(&Home::at(home));
    let word = |code: Option<String>| code.unwrap_or_else(|| "done".to_owned());
    let read = client.get::<Status>("/v1/status").await.err().map(|error| error.code().to_owned());
    let control = client.post::<Integration>("/v1/integrations/nothing/pause", &Done {}).await;
    let control = control.err().map(|error| error.code().to_owned());
    writeln!(std::io::stdout(), "probe: {} {}", word(read), word(control)).unwrap();
}

/// What a member of these groups hears: reading, then controlling what is not there.
fn as_member(home: &Home, group: u32, more: &[u32]) -> String {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("probe");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let (home, more) = (home.root().to_owned(), more.iter().map(|group| Gid::from_raw(*group)).collect::<Vec<_>>());
    // A thread of its own, whose user alone is changed: what it starts is that user's.
    let output = std::thread::spawn(move || {
        let (user, group) = (Uid::from_raw(OTHER_USER), Gid::from_raw(group));
        rustix::thread::set_thread_groups(&more).unwrap();
        rustix::thread::set_thread_res_gid(group, group, group).unwrap();
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        Command::new(&binary)
            .args(["--exact", "api::access::probe_as_a_member", "--nocapture"])
            .env_clear()
            .env(PROBE, home)
            .current_dir("/")
            .output()
            .unwrap()
    })
    .join()
    .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("probe: ")).unwrap_or(&text).to_owned()
}

fn access(read: &[u32], control: &[u32]) -> Access {
    let names = |groups: &[u32]| groups.iter().map(u32::to_string).collect();
    Access::of(&config::Access { read_groups: names(read), control_groups: names(control) }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_groups_may_what_the_configuration_says() {
    if !rustix::process::geteuid().is_root() {
        // Becoming another user, and giving a socket to a group, needs root.
        return;
    }
    let daemon = Daemon::start_for(access(&[READERS], &[CONTROLLERS])).await;
    let home = daemon.home.clone();
    let heard = tokio::task::spawn_blocking(move || {
        [
            as_member(&home, OTHER_USER, &[]),
            as_member(&home, READERS, &[]),
            as_member(&home, OTHER_USER, &[1, READERS]),
            as_member(&home, OTHER_USER, &[CONTROLLERS]),
        ]
    })
    .await
    .unwrap();
    let [stranger, reader, by_supplement, controller] = heard;
    assert_eq!(stranger, "forbidden forbidden");
    assert_eq!(reader, "done forbidden");
    assert_eq!(by_supplement, "done forbidden", "supplementary groups count");
    assert_eq!(controller, "done not_found");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(daemon.home.root()), mode(&daemon.home.socket())), (0o711, 0o666));
    for closed in [daemon.home.database(), daemon.home.key_file(), daemon.home.plugins_dir(), daemon.home.trust_dir()] {
        assert_eq!(mode(&closed) & 0o077, 0, "{}", closed.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_gets_the_socket_and_the_way_to_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let daemon = Daemon::start_for(access(&[READERS], &[])).await;
    for (path, expect) in [(daemon.home.root().to_owned(), 0o710), (daemon.home.socket(), 0o660)] {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.gid()), (expect, READERS), "{}", path.display());
    }
    let home = daemon.home.clone();
    let heard = tokio::task::spawn_blocking(move || {
        (as_member(&home, READERS, &[]), as_member(&home, OTHER_USER, &[CONTROLLERS]))
    })
    .await
    .unwrap();
    assert_eq!(heard.0, "done forbidden");
    assert!(heard.1.starts_with("denied"), "{}", heard.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_kept_with_who_what_and_how_it_went_and_nothing_else_is() {
    let daemon = Daemon::with_a_lamp().await;
    daemon.client.get::<Status>("/v1/status").await.unwrap();
    daemon.client.post::<Integration>("/v1/integrations/nothing/pause", &Done {}).await.unwrap_err();
    let secret = serde_json::json!({"values": {"token": "hunter2"}});
    daemon.client.patch::<Integration>("/v1/integrations/nothing/attributes", &secret).await.unwrap_err();
    let label = serde_json::json!({"label": "Reading lamp"});
    daemon.client.patch::<serde_json::Value>("/v1/entities/test:Lamp%2F1", &label).await.unwrap();
    let all = async || daemon.client.get::<Vec<AuditEntry>>("/v1/audit").await.unwrap();
    // Written beside the answers, not before them.
    let entries = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let entries = all().await;
            if entries.len() >= 3 {
                return entries;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let mut told: Vec<_> =
        entries.iter().map(|entry| (entry.operation.as_str(), entry.target.as_str(), entry.outcome.as_str())).collect();
    told.sort_unstable();
    let expect = [
        ("entity_name", "test:Lamp/1", "done"),
        ("integration_pause", "nothing", "refused"),
        ("integration_set", "nothing", "refused"),
    ];
    assert_eq!(told, expect);
    let own = rustix::process::geteuid().as_raw();
    assert!(entries.iter().all(|entry| entry.uid == own && entry.via == "socket" && entry.at_ms > 0), "{entries:?}");
    assert!(!serde_json::to_string(&entries).unwrap().contains("hunter2"));
    let of = async |query: &str| {
        daemon.client.get::<Vec<AuditEntry>>(&format!("/v1/audit?{query}")).await.map(|entries| entries.len())
    };
    assert_eq!(of("operation=integration_pause").await.unwrap(), 1);
    assert_eq!(of("target=nothing").await.unwrap(), 2);
    assert_eq!(of(&format!("user={own}&limit=1")).await.unwrap(), 1);
    assert_eq!(of("until_ms=1").await.unwrap(), 0);
    assert!(of("limit=0").await.unwrap_err().to_string().contains("limit"));
}
