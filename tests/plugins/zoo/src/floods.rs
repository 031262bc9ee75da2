//! Too much of everything.

use gatehouse_plugin_api::message::{EntityDeclaration, HealthStatus};
use gatehouse_plugin_api::{Context, Entity, Error, Result, State, serde_json, tokio, tracing};

/// How often a flood does what it does: more than every queue on the way holds.
const TIMES: usize = 8_000;

/// Does what the name says.
pub(crate) async fn strike(kind: &str, context: &Context) -> Result<()> {
    match kind {
        "flood-readings" => {
            for number in 0..TIMES {
                context.emit_value("cage", "count", number as f64).await?;
            }
            context.flush().await
        }
        "flood-texts" => {
            for number in 0..400 {
                context.emit_value("cage", "sign", format!("{number}{}", "z".repeat(60_000))).await?;
            }
            context.flush().await
        }
        "flood-logs" => {
            for number in 0..TIMES * 4 {
                tracing::error!(number, "the zoo is loud");
                if number % 1_000 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        }
        "flood-log-lines" => {
            let line = "zoo\u{1b}[31m\r".repeat(200_000);
            for _ in 0..20 {
                tracing::error!(line, "{line}");
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        "flood-output" => {
            print(&b"the zoo prints\n".repeat(50_000));
            // No end of a line, and no text.
            print(&vec![0xFF; 2_000_000]);
            Ok(())
        }
        "flood-health" => {
            for number in 0..TIMES {
                let message = format!("{number} {}", "ill ".repeat(500));
                context.health(HealthStatus::Warning, message).await?;
            }
            context.health(HealthStatus::Healthy, "").await
        }
        "flood-entities" => {
            for round in 0..12 {
                let names = (0..1_000).map(|number| format!("animal-{round}-{number}"));
                context.declare(names.map(|name| Entity::new(name).state(State::number("count", "")))).await?;
            }
            Ok(())
        }
        "flood-keys" => {
            for number in 0..200 {
                context.kv().set_bytes(&format!("key-{number}"), vec![1; 64 * 1024]).await?;
            }
            let large = context.kv().set_bytes("large", vec![1; 2 << 20]).await;
            if large.is_ok() { Err(Error::transient("the host took 2 MiB under one key")) } else { Ok(()) }
        }
        "flood-calls" => {
            // Asked all at once, without waiting for one answer.
            let calls = (0..TIMES).map(|_| {
                let context = context.clone();
                tokio::task::spawn_local(async move { context.kv().get_bytes("nothing").await })
            });
            let calls: Vec<_> = calls.collect();
            for call in calls {
                // Refused or answered: both are well.
                let _ = call.await;
            }
            Ok(())
        }
        _ => Err(Error::not_found(format!("the zoo has no {kind:?}"))),
    }
}

fn print(bytes: &[u8]) {
    // A pipe that nobody empties would block: then the heartbeat tells.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), bytes);
}

/// One more than an integration may have.
pub(crate) fn too_many_entities() -> Result<Vec<EntityDeclaration>> {
    (0..10_001).map(|number| Entity::new(format!("animal-{number}")).build()).collect()
}

/// Lists in lists.
pub(crate) fn deep(depth: usize) -> serde_json::Value {
    (0..depth).fold(serde_json::Value::Null, |inner, _| serde_json::Value::Array(vec![inner]))
}
