//! States and entities: seen, named, set, looked back at.

use gatehouse_host::api::client::encoded;
use gatehouse_host::api::types::{
    Availability, ControlAnswer, ControlRequest, Entity, EntityPatch, History, Integration, Plugin, State, Status,
};
use gatehouse_plugin_api::Value;

use super::daemon::{Daemon, eventually};

#[tokio::test]
async fn a_state_carries_its_value_and_what_it_is() {
    let daemon = Daemon::with_a_lamp().await;
    daemon.emit_levels([40]).await;
    let address = "test:Lamp%2F1/level";
    let state: State = daemon.client.get(&format!("/v1/states/{}", encoded(address))).await.unwrap();
    assert_eq!(state.address.to_string(), address);
    assert_eq!((state.entity_label.as_str(), state.label.as_str(), state.unit.as_str()), ("The lamp", "level", "%"));
    assert_eq!((state.value, state.text.as_str()), (Some(Value::Number(40.0)), "40"));
    assert_eq!((state.availability, state.controllable), (Availability::Offline, false));
    assert_eq!(state.changed_at_ms, state.last_seen_ms);
    // Compared lower-cased, told as it is spelt.
    let again: State = daemon.client.get(&format!("/v1/states/{}", encoded("test:lamp%2F1/LEVEL"))).await.unwrap();
    assert_eq!(again.address.to_string(), address);
}

#[tokio::test]
async fn states_without_a_reading_are_listed_too() {
    let daemon = Daemon::with_a_lamp().await;
    daemon.emit_levels([40]).await;
    let states: Vec<State> = daemon.client.get("/v1/states").await.unwrap();
    let shown: Vec<_> = states.iter().map(|state| (state.label.as_str(), state.value.is_some())).collect();
    assert_eq!(shown, [("power", false), ("level", true), ("mode", false)]);
    let status: Status = daemon.client.get("/v1/status").await.unwrap();
    assert_eq!((status.entities, status.states, status.pid), (1, 3, std::process::id()));
    assert!(status.plugins_folder.usable, "{}", status.plugins_folder.problem);
    assert!(status.database_bytes > 0);
}

#[tokio::test]
async fn nothing_is_listed_where_nothing_is() {
    let daemon = Daemon::start().await;
    assert_eq!(daemon.client.get::<Vec<Integration>>("/v1/integrations").await.unwrap(), []);
    assert_eq!(daemon.client.get::<Vec<Plugin>>("/v1/plugins").await.unwrap(), []);
    assert_eq!(daemon.client.get::<Vec<Entity>>("/v1/entities?all=1").await.unwrap(), []);
}

#[tokio::test]
async fn a_persons_name_stands_until_it_is_taken_back() {
    let daemon = Daemon::with_a_lamp().await;
    let path = format!("/v1/entities/{}", encoded("test:Lamp%2F1"));
    let named: Entity = daemon.client.patch(&path, &EntityPatch { label: " Reading lamp ".into() }).await.unwrap();
    assert_eq!(named.label, "Reading lamp");
    let seen: Entity = daemon.client.get(&path).await.unwrap();
    assert_eq!(seen, named);
    let back: Entity = daemon.client.patch(&path, &EntityPatch { label: String::new() }).await.unwrap();
    assert_eq!(back.label, "The lamp");
}

#[tokio::test]
async fn what_cannot_be_set_says_why() {
    let daemon = Daemon::with_a_lamp().await;
    for (state, text, status, part) in [
        ("test:none/power", "on", 404, "the state test:none/power does not exist"),
        ("test:Lamp%2F1/level", "5", 422, "only sensed"),
        ("test:Lamp%2F1/mode", "hot", 422, "not one of warm, cold"),
        // The lamp's integration does not run: it is not even configured.
        ("test:Lamp%2F1/power", "on", 404, "test"),
    ] {
        let request = ControlRequest { text: Some(text.into()), ..ControlRequest::default() };
        let path = format!("/v1/states/{}/control", encoded(state));
        let error = daemon.client.post::<ControlAnswer>(&path, &request).await.unwrap_err();
        assert_eq!(error.status(), Some(status), "{state}: {error}");
        assert!(error.to_string().contains(part), "{state}: {error}");
    }
}

#[tokio::test]
async fn history_is_the_newest_rows_oldest_first() {
    let daemon = Daemon::with_a_lamp().await;
    daemon.emit_levels([1, 2, 2, 3]).await;
    daemon.house.flush().await.unwrap();
    let path = format!("/v1/states/{}/history", encoded("test:Lamp%2F1/level"));
    let history: History = daemon.client.get(&path).await.unwrap();
    let levels: Vec<_> = history.rows.iter().map(|row| row.value.clone()).collect();
    assert_eq!(levels, [1.0, 2.0, 3.0].map(Value::Number));
    assert_eq!(history.unit, "%");
    let newest: History = daemon.client.get(&format!("{path}?limit=1")).await.unwrap();
    assert_eq!(newest.rows.len(), 1);
    assert_eq!(newest.rows[0].value, Value::Number(3.0));
    let before: History = daemon.client.get(&format!("{path}?since_ms=0&until_ms=1")).await.unwrap();
    assert_eq!(before.rows, []);
}

#[tokio::test]
async fn hidden_entities_are_shown_only_when_asked_for() {
    let daemon = Daemon::with_a_lamp().await;
    daemon.house.detach_all(&super::daemon::test()).await.unwrap();
    let hidden = eventually("the lamp to be hidden", || async {
        let shown: Vec<Entity> = daemon.client.get("/v1/entities").await.unwrap();
        let all: Vec<Entity> = daemon.client.get("/v1/entities?all=true").await.unwrap();
        (shown.is_empty() && all.len() == 1).then_some(all)
    })
    .await;
    assert_eq!(hidden[0].availability, Availability::Offline);
}
