//! Wrong requests: a sentence each, and the daemon goes on.

use gatehouse_host::api::types::Status;
use serde_json::json;

use super::daemon::Daemon;

const JSON: &str = "application/json";

#[tokio::test]
async fn wrong_bodies_are_told_by_field_or_place() {
    let daemon = Daemon::with_a_lamp().await;
    let control = "/v1/states/test:Lamp%252F1%2Fpower/control";
    for (method, path, body, status, code, part) in [
        (
            "POST",
            "/v1/flows",
            r#"{"kind":"activate","integratoin_type":"x"}"#,
            400,
            "bad_request",
            "`integratoin_type`",
        ),
        ("POST", "/v1/flows", r#"{"integration_type":"x"}"#, 400, "bad_request", "missing field `kind`"),
        ("POST", "/v1/flows", r#"{"kind":"activate"}"#, 422, "invalid", "integration_type is missing"),
        ("POST", "/v1/flows", "{\n  \"kind\" 1}", 400, "bad_request", "line 2 column 10"),
        ("POST", "/v1/flows", "", 400, "bad_request", "the body is empty"),
        ("POST", "/v1/flows", "\u{0}\u{1}", 400, "bad_request", "not JSON"),
        ("PATCH", "/v1/entities/test:Lamp%252F1", r#"{"label":3}"#, 400, "bad_request", "expected a string"),
        ("PATCH", "/v1/entities/test:Lamp%252F1", "{\"label\":\"a\\nb\"}", 422, "invalid", "control character"),
        ("POST", control, "{}", 422, "invalid", "give value or text"),
        ("POST", control, r#"{"text":"on","value":{"on_off":true}}"#, 422, "invalid", "give one of them"),
        ("POST", control, r#"{"text":"maybe"}"#, 422, "invalid", "neither on nor off"),
        ("POST", control, r#"{"value":{"number":1}}"#, 422, "invalid", "takes on_off and got number"),
        ("POST", control, r#"{"text":"on","payload":[1]}"#, 422, "invalid", "payload must be a JSON object"),
    ] {
        let (answered, problem) = daemon.send(method, path, JSON, body).await;
        assert_eq!((answered, &problem["code"]), (status, &json!(code)), "{method} {path} {body}: {problem}");
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains(part), "{body}: {message}");
    }
    daemon.client.get::<Status>("/v1/status").await.unwrap();
}

#[tokio::test]
async fn a_secret_is_not_repeated_in_a_refusal() {
    let daemon = Daemon::start().await;
    for body in [r#"{"values":"hunter2"}"#, r#"{"values":{"token":["hunter2"]}}"#, r#"{"values":{"token":"hunter2""#] {
        let (status, problem) = daemon.send("PATCH", "/v1/integrations/test/attributes", JSON, body).await;
        assert_eq!(status, 400, "{problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_json() {
    let daemon = Daemon::start().await;
    let huge = json!({ "kind": "x".repeat(2 * 1024 * 1024) }).to_string();
    let (status, problem) = daemon.send("POST", "/v1/flows", JSON, &huge).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")), "{problem}");
    let (status, problem) = daemon.send("POST", "/v1/flows", "text/plain", "{}").await;
    assert_eq!((status, &problem["code"]), (415, &json!("not_json")), "{problem}");
}

#[tokio::test]
async fn wrong_paths_methods_and_queries_are_explained() {
    let daemon = Daemon::with_a_lamp().await;
    for (method, path, status, part) in [
        ("GET", "/v1/nowhere", 404, "/v1/nowhere does not exist"),
        ("GET", "/v1/states/test:lamp/power", 404, "%2F"),
        ("DELETE", "/v1/status", 405, "DELETE"),
        ("GET", "/v1/states?integratoin=x", 400, "unknown field `integratoin`"),
        ("GET", "/v1/states?integration=Not%20One", 400, "integration id \"Not One\""),
        ("GET", "/v1/states?integration=none", 404, "\"none\" does not exist"),
        ("GET", "/v1/log?level=loud", 400, "`loud`"),
        ("GET", "/v1/events?states=maybe", 400, "neither 1 nor 0"),
        ("GET", "/v1/states/test", 422, "has no '/'"),
        ("GET", "/v1/states/test%FF", 400, "path"),
        ("GET", "/v1/integrations/Not%20One", 422, "lower-case letter"),
        ("GET", "/v1/integrations/none", 404, "\"none\" does not exist"),
        ("GET", "/v1/plugins/none.so", 404, "\"none.so\" does not exist"),
        ("GET", "/v1/flows/none", 404, "does not exist"),
        ("GET", "/v1/states/test:lamp%252f1%2Fpowr", 404, "has power, level, mode"),
        ("GET", "/v1/entities/test:lamp%252f2", 404, "did you mean \"test:Lamp%2F1\"?"),
        ("GET", "/v1/states/test:lamp%252f1%2Flevel/history?limit=0", 422, "limit 0"),
        ("GET", "/v1/states/test:lamp%252f1%2Flevel/history?since_ms=5&until_ms=4", 422, "since_ms 5 is after"),
    ] {
        let (answered, problem) = daemon.send(method, path, JSON, "{}").await;
        let message = problem["message"].as_str().unwrap_or_default();
        assert!(answered == status && message.contains(part), "{method} {path}: {answered} {problem}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_hung_up_on() {
    let daemon = Daemon::start().await;
    let answer = daemon.raw(b"\x00\x01 nonsense\r\n\r\n").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    daemon.client.get::<Status>("/v1/status").await.unwrap();
}
