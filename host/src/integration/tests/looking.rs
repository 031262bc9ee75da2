//! Looking into an integration: images, streams, diagnostics.

use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Declare, Diagnostics, EntityRef, KeyBlob, Snapshot, Stream};
use gatehouse_plugin_api::ops;
use serde_json::{Value, json};

use super::deactivation::lamp;
use super::rig::{Act, Rig, Script, ScriptedGateway, fail, hass_specs, hass_values, id, plugin, reply};
use crate::integration::{Image, OperationError};

/// A house with a lamp, and a gateway that answers an entity's snapshot and stream so.
async fn house(script: Script) -> Rig {
    let rig = Rig::new().await;
    let house = plugin("house", "1.0.0", vec![]);
    rig.script(&house, script);
    rig.plugins.put(&house);
    rig.begin_and_confirm("house").await;
    rig.gateway().ask::<_, ()>(ops::DECLARE, &Declare { entities: vec![lamp(true)] }).await.unwrap();
    rig
}

async fn image_of(media_type: &'static str, bytes: Vec<u8>) -> Result<Image, OperationError> {
    let answer = move |_: EntityRef, _: &ScriptedGateway| {
        reply(&Snapshot { media_type: media_type.to_owned(), bytes: bytes.clone() })
    };
    let rig = house(Script::default().on(ops::SNAPSHOT, answer)).await;
    rig.integrations.snapshot(&"house:lamp".parse().unwrap()).await
}

async fn stream_at(url: &str) -> Result<String, OperationError> {
    let url = url.to_owned();
    let answer = move |_: EntityRef, _: &ScriptedGateway| reply(&Stream { url: url.clone() });
    let rig = house(Script::default().on(ops::STREAM, answer)).await;
    rig.integrations.stream(&"house:lamp".parse().unwrap()).await.map(|url| url.to_string())
}

#[tokio::test]
async fn an_image_is_one_of_an_entity_as_its_plugin_spells_it() {
    let answer = |asked: EntityRef, _: &ScriptedGateway| {
        assert_eq!(asked.entity.as_str(), "lamp");
        reply(&Snapshot { media_type: "Image/JPEG; q=1".into(), bytes: vec![0xff, 0xd8] })
    };
    let rig = house(Script::default().on(ops::SNAPSHOT, answer)).await;
    let image = rig.integrations.snapshot(&"house:LAMP".parse().unwrap()).await.unwrap();
    assert_eq!(image, Image { media_type: "image/jpeg", bytes: vec![0xff, 0xd8] });
}

#[tokio::test]
async fn what_is_no_image_goes_no_further() {
    for (media_type, bytes, sentence) in [
        ("text/html", b"<script>".to_vec(), "the image is said to be \"text/html\": it must be image/jpeg"),
        ("image/png", Vec::new(), "the image is empty"),
        ("image/png", vec![0; 8 * 1024 * 1024 + 1], "the image has 8388609 bytes and the most is 8388608"),
    ] {
        let error = image_of(media_type, bytes).await.unwrap_err().to_string();
        assert!(error.contains("house:lamp") && error.contains(sentence), "{error}");
    }
}

#[tokio::test]
async fn a_stream_leads_to_a_stream() {
    for url in ["rtsp://user:pass@camera/live", "https://camera/live.m3u8"] {
        assert_eq!(stream_at(url).await.as_deref(), Ok(url));
    }
    let long = format!("http://camera/{}", "x".repeat(5_000));
    for (url, sentence) in [
        ("javascript:alert(1)", "begins with javascript: it must be http"),
        ("file:///etc/passwd", "begins with file"),
        ("camera:pa55word", "begins with camera"),
        ("//pa55word@camera", "is no URL"),
        (long.as_str(), "is longer than 4096 bytes"),
    ] {
        let error = stream_at(url).await.unwrap_err().to_string();
        assert!(error.contains(sentence) && !error.contains("pa55word"), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_explained() {
    let rig = house(Script::default().on(ops::STREAM, |_: EntityRef, _: &ScriptedGateway| Act::Die)).await;
    let lamp = "house:lamp".parse().unwrap();
    let error = rig.integrations.snapshot(&lamp).await.unwrap_err();
    assert!(matches!(&error, OperationError::Gateway { error, .. } if error.code == ErrorCode::Unsupported), "{error}");
    let error = rig.integrations.snapshot(&"house:lamb".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "the entity house:lamb does not exist");
    let error = rig.integrations.stream(&lamp).await.unwrap_err();
    assert_eq!(error.to_string(), "house ended while its stream was looked for: try again");
    rig.integrations.pause(&id("house")).await.unwrap();
    let error = rig.integrations.snapshot(&lamp).await.unwrap_err();
    assert_eq!(error.to_string(), "house is paused: resume it first");
}

async fn hass(answer: impl Fn() -> Act + Send + Sync + 'static) -> Rig {
    let rig = Rig::new().await;
    let hass = plugin("hass", "1.0.0", hass_specs());
    rig.script(&hass, Script::default().on(ops::DIAGNOSTICS, move |_: (), _: &ScriptedGateway| answer()));
    rig.plugins.put(&hass);
    rig.activate("hass", hass_values()).await;
    rig
}

#[tokio::test]
async fn diagnostics_hold_no_secret_of_a_setting_or_of_the_plugins_own() {
    let rig = hass(|| {
        let data = json!({
            "url": "http://pi/?t=hunter2", "refreshed": "with r3fresh", "api_key": "other", "lamps": 3,
        });
        reply(&Diagnostics { data })
    })
    .await;
    let kept = KeyBlob { key: "refresh".into(), bytes: b"r3fresh".to_vec() };
    rig.gateway().ask::<_, ()>(ops::SECRET_SET, &kept).await.unwrap();
    let found = rig.integrations.diagnostics(&id("hass")).await.unwrap();
    let expected = json!({
        "url": "http://pi/?t=********", "refreshed": "with ********", "api_key": "********", "lamps": 3,
    });
    assert_eq!((found.data, found.problem.as_str()), (Some(expected), ""));
    assert_eq!(found.redaction.text("the token hunter2"), "the token ********");
}

#[tokio::test]
async fn why_there_are_no_diagnostics_stands_in_their_place() {
    let rig = hass(|| fail(ErrorCode::Transient, "http://pi refused hunter2")).await;
    let found = rig.integrations.diagnostics(&id("hass")).await.unwrap();
    assert_eq!((found.data, found.problem.as_str()), (None::<Value>, "hass: http://pi refused ********"));
    rig.integrations.pause(&id("hass")).await.unwrap();
    let found = rig.integrations.diagnostics(&id("hass")).await.unwrap();
    assert_eq!((found.view.actual.word(), found.problem.as_str()), ("paused", "hass is paused: resume it first"));
    assert!(rig.integrations.diagnostics(&id("has")).await.is_err());
}
