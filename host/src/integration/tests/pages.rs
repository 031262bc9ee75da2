//! Admin pages: rendered, escaped, bounded.

use std::collections::BTreeMap;

use gatehouse_plugin_api::manage::{ManageReply, ManageRequest, Method, PaneReply, PaneRequest};
use gatehouse_plugin_api::ops;
use serde_json::json;

use super::rig::{Rig, Script, ScriptedGateway, id, plugin, reply};
use crate::integration::{ManagePage, OperationError};

/// A plugin with these templates; the page's name and context come from its parameters.
async fn with_panes(panes: &'static [(&'static str, &'static str)]) -> Rig {
    let manage = |request: ManageRequest, _: &ScriptedGateway| {
        let context = request.params.get("context").map_or(json!({}), |text| serde_json::from_str(text).unwrap());
        reply(&ManageReply::Template { name: request.params["name"].clone(), context })
    };
    let pane = |request: PaneRequest, _: &ScriptedGateway| {
        let source = panes.iter().find(|(name, _)| *name == request.name).map(|(_, source)| (*source).to_owned());
        reply(&PaneReply { source })
    };
    with(Script::default().on(ops::MANAGE, manage).on(ops::PANE, pane)).await
}

async fn with(script: Script) -> Rig {
    let rig = Rig::new().await;
    let house = plugin("house", "1.0.0", vec![]);
    rig.script(&house, script);
    rig.plugins.put(&house);
    rig.begin_and_confirm("house").await;
    rig
}

async fn page(rig: &Rig, name: &str, context: serde_json::Value) -> Result<String, String> {
    let params = BTreeMap::from([("name".to_owned(), name.to_owned()), ("context".to_owned(), context.to_string())]);
    let request = ManageRequest { params, ..ManageRequest::default() };
    match rig.integrations.manage(&id("house"), request).await {
        Ok(ManagePage::Html(html)) => Ok(html),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn templates_extend_and_include_each_other_and_are_fetched_once() {
    let rig = with_panes(&[
        ("panes/base.html", "<h1>{% block title %}{% endblock %}</h1>{% include 'panes/foot.html' %}"),
        ("panes/rooms.html", "{% extends 'panes/base.html' %}{% block title %}{{ rooms|length }} rooms{% endblock %}"),
        ("panes/foot.html", "<p>{{ rooms|join(', ') }}</p>"),
    ])
    .await;
    for _ in 0..2 {
        let html = page(&rig, "panes/rooms.html", json!({"rooms": ["attic", "cellar"]})).await;
        assert_eq!(html.as_deref(), Ok("<h1>2 rooms</h1><p>attic, cellar</p>"));
    }
    assert_eq!(rig.gateway().count(ops::PANE), 3);
}

#[tokio::test]
async fn everything_is_escaped_whatever_the_template_is_called() {
    let rig = with_panes(&[("plain.txt", "{{ name }}"), ("marked.html", "{{ name|safe }}")]).await;
    let context = json!({"name": "<script>alert(1)</script>"});
    let html = page(&rig, "plain.txt", context.clone()).await.unwrap();
    assert_eq!(html, "&lt;script&gt;alert(1)&lt;&#x2f;script&gt;");
    let error = page(&rig, "marked.html", context).await.unwrap_err();
    assert!(error.contains("safe"), "{error}");
}

#[tokio::test]
async fn a_wrong_template_is_named_with_its_line() {
    let rig = with_panes(&[
        ("undefined.html", "one\n{{ nobody }}"),
        ("syntax.html", "{% if %}"),
        ("far.html", "{% include 'nowhere.html' %}"),
        ("file.html", "{% include '/etc/passwd' %}"),
    ])
    .await;
    for (name, parts) in [
        ("undefined.html", ["\"undefined.html\", line 2", "undefined"]),
        ("syntax.html", ["\"syntax.html\", line 1", "syntax error"]),
        ("far.html", ["far.html", "nowhere.html"]),
        ("file.html", ["file.html", "/etc/passwd"]),
        ("missing.html", ["missing.html", "panes() does not list it"]),
    ] {
        let error = page(&rig, name, json!({})).await.unwrap_err();
        assert!(error.starts_with("house: ") && parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[tokio::test]
async fn work_and_size_of_a_page_are_bounded() {
    let rig = with_panes(&[
        ("endless.html", "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"),
        (
            "doubling.html",
            "{% set n = namespace(x='xxxxxxxx') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        ),
        ("large.html", "{% for a in range(20) %}{{ text }}{% endfor %}"),
        ("itself.html", "{% include 'itself.html' %}"),
    ])
    .await;
    for name in ["endless.html", "doubling.html", "itself.html"] {
        let error = page(&rig, name, json!({})).await.unwrap_err();
        assert!(error.contains("too much work") || error.contains("recursion"), "{name}: {error}");
    }
    let error = page(&rig, "large.html", json!({"text": "x".repeat(100_000)})).await.unwrap_err();
    assert_eq!(error, "house: the page \"large.html\" is larger than 1048576 bytes: show less on it");
}

#[tokio::test]
async fn other_answers_pass_through_and_posts_reach_the_plugin() {
    let rig = with(Script::default().on(ops::MANAGE, |request: ManageRequest, _: &ScriptedGateway| {
        reply(&match (request.method, request.params.get("what").map(String::as_str)) {
            (Method::Post, _) => {
                ManageReply::Message { error: false, text: format!("{} was added", request.form["room"]) }
            }
            (Method::Get, Some("go")) => {
                ManageReply::Redirect { params: BTreeMap::from([("page".to_owned(), "rooms".to_owned())]) }
            }
            (Method::Get, _) => ManageReply::File {
                name: "../rooms.csv".into(),
                media_type: "text/csv".into(),
                bytes: b"attic\n".to_vec(),
            },
        })
    }))
    .await;
    let ask = |method, what: &str, form: &[(&str, &str)]| {
        let params = BTreeMap::from([("what".to_owned(), what.to_owned())]);
        let form = form.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let integrations = rig.integrations.clone();
        async move { integrations.manage(&id("house"), ManageRequest { method, params, form }).await.unwrap() }
    };
    let message = ManagePage::Message { error: false, text: "attic was added".into() };
    assert_eq!(ask(Method::Post, "", &[("room", "attic")]).await, message);
    let redirect = ManagePage::Redirect(BTreeMap::from([("page".to_owned(), "rooms".to_owned())]));
    assert_eq!(ask(Method::Get, "go", &[]).await, redirect);
    let ManagePage::File { name, bytes, .. } = ask(Method::Get, "file", &[]).await else { panic!("no file") };
    assert_eq!((name.as_str(), bytes.as_slice()), ("rooms.csv", b"attic\n".as_slice()));
}

#[tokio::test]
async fn one_without_pages_and_one_that_does_not_run_say_so() {
    let rig = with(Script::default()).await;
    let error = rig.integrations.manage(&id("house"), ManageRequest::default()).await.unwrap_err();
    assert!(matches!(error, OperationError::Gateway { .. }), "{error}");
    rig.integrations.pause(&id("house")).await.unwrap();
    let error = rig.integrations.manage(&id("house"), ManageRequest::default()).await.unwrap_err();
    assert_eq!(error, OperationError::Unavailable("house is paused: resume it first".into()));
}
