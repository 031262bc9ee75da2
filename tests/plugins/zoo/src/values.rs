//! Readings and declarations that cannot be meant.

use gatehouse_plugin_api::ids::{EntityName, StateName};
use gatehouse_plugin_api::message::Reading;
use gatehouse_plugin_api::{Context, Entity, Error, Result, State, Value};

const DAY_MS: i64 = 86_400_000;

/// Does what the name says; succeeds when the host refused every single one.
pub(crate) async fn strike(kind: &str, context: &Context) -> Result<()> {
    match kind {
        "value-not-finite" => {
            for number in [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                refused(context, "cage", "count", Value::Number(number), None).await?;
            }
            Ok(())
        }
        "value-of-other-kinds" => {
            for value in [Value::OnOff(true), Value::Text("3".into()), Value::TimestampMs(3), Value::Event("3".into())]
            {
                refused(context, "cage", "count", value, None).await?;
            }
            refused(context, "cage", "door", Value::Number(1.0), None).await
        }
        "value-of-other-times" => {
            // 1970, the year 2100, the ends of time.
            for at_ms in [0, 1, -1, 130 * 365 * DAY_MS, i64::MAX, i64::MIN] {
                refused(context, "cage", "count", Value::Number(2.0), Some(at_ms)).await?;
            }
            Ok(())
        }
        "value-undeclared" => {
            for (entity, state) in [("cage", "lion"), ("lion", "count"), ("virtual-house:lamp", "power"), ("..", "/")] {
                refused(context, entity, state, Value::OnOff(true), None).await?;
            }
            Ok(())
        }
        "value-too-long" => refused(context, "cage", "sign", Value::Text("z".repeat(65 * 1024)), None).await,
        "value-absurd" => {
            // Absurd, and numbers all the same.
            for number in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -0.0] {
                durable(context, "cage", "count", Value::Number(number), None).await?;
            }
            let sign = Value::Text("\u{0}\u{1b}[2J\u{202e}\u{feff}\n".repeat(100));
            durable(context, "cage", "sign", sign, None).await?;
            for at_ms in [i64::MIN, i64::MAX] {
                durable(context, "cage", "fed", Value::TimestampMs(at_ms), None).await?;
            }
            durable(context, "cage", "count", Value::Number(1.0), None).await
        }
        "value-of-a-neighbour" => of_a_neighbour(context).await,
        "value-bad-declarations" => bad_declarations(context).await,
        _ => Err(Error::not_found(format!("the zoo has no {kind:?}"))),
    }
}

async fn durable(context: &Context, entity: &str, state: &str, value: Value, at_ms: Option<i64>) -> Result<()> {
    let reading = Reading { entity: EntityName::new(entity)?, state: StateName::new(state)?, value, at_ms };
    context.emit_durable([reading]).await
}

async fn refused(context: &Context, entity: &str, state: &str, value: Value, at_ms: Option<i64>) -> Result<()> {
    let what = format!("{entity}/{state}: {value:?} at {at_ms:?}");
    expect_refusal(what, durable(context, entity, state, value, at_ms).await)
}

fn expect_refusal(what: String, outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(_) => Ok(()),
        Ok(()) => Err(Error::transient(format!("the host took {what}"))),
    }
}

/// Names and keys as another integration has them: they are this one's own.
async fn of_a_neighbour(context: &Context) -> Result<()> {
    let lamp = Entity::new("virtual-house:lamp").state(State::on_off("power"));
    context.declare([lamp]).await?;
    durable(context, "virtual-house:lamp", "power", Value::OnOff(true), None).await?;
    expect_refusal("entities that it does not have".into(), context.remove(["lamp", "meter", "thermostat"]).await)?;
    let kv = context.kv();
    for key in kv.keys("").await? {
        kv.delete(&key).await?;
    }
    for key in ["virtual-house", "virtual-house/home", "../virtual-house/home", "home"] {
        kv.set(key, "the zoo's").await?;
        kv.delete(key).await?;
    }
    context.remove(["virtual-house:lamp"]).await
}

async fn bad_declarations(context: &Context) -> Result<()> {
    let twins = [Entity::new("Twin"), Entity::new("tWIN")];
    expect_refusal("twins".into(), context.declare(twins).await)?;
    let states = Entity::new("states").state(State::text("a")).state(State::text("A"));
    expect_refusal("two states of one name".into(), context.declare([states]).await)?;
    let many = (0..300).fold(Entity::new("many"), |entity, at| entity.state(State::text(format!("s{at}"))));
    expect_refusal("300 states".into(), context.declare([many]).await)?;
    let bounds = Entity::new("bounds").state(State::number("n", &"u".repeat(1_000)));
    expect_refusal("a unit of 1000 letters".into(), context.declare([bounds]).await)?;
    let label = Entity::new("label").label("\u{7}".repeat(10));
    expect_refusal("a label that rings".into(), context.declare([label]).await)
}
