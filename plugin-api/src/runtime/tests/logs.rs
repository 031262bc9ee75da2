//! Log events: filtered, with their spans, apart from those of other gateways.

use crate::error::{ErrorCode, Result};
use crate::message::{LogLevel, LogRecord};
use crate::testing::House;
use crate::tracing::{self, Instrument};
use crate::{Context, IntegrationGateway, ops};

struct Talker;

impl IntegrationGateway for Talker {
    type Settings = ();
    fn new(context: Context) -> Self {
        tracing::info!(id = %context.integration_id(), "made");
        Self
    }
    async fn start(&self, _: ()) -> Result<()> {
        let span = tracing::info_span!("outer", room = "hall", lamps = tracing::field::Empty);
        span.record("lamps", 3);
        async {
            tracing::debug!("a decision");
            tracing::warn!(code = 7, "a warning");
        }
        .instrument(span)
        .await;
        tracing::trace!("a payload");
        tokio::task::spawn_blocking(|| tracing::info!("from a blocking thread")).await?;
        Ok(())
    }
    async fn poll(&self) -> Result<()> {
        // Without an await: nothing can be answered in between.
        for n in 0..5000 {
            tracing::info!(n, "chatter");
        }
        Ok(())
    }
}

fn messages(house: &House) -> Vec<String> {
    house.logs().into_iter().map(|record| record.message).collect()
}

fn find(house: &House, message: &str) -> LogRecord {
    house.logs().into_iter().find(|record| record.message == message).unwrap()
}

#[test]
fn events_carry_level_target_fields_and_those_of_their_spans() {
    let house = House::builder().integration_id("talker").log_filter("info").open::<Talker>();
    house.start(()).unwrap();
    house.wait_for("the last is there", |house| messages(house).iter().any(|m| m == "from a blocking thread"));
    assert_eq!(messages(&house), ["made", "a warning", "from a blocking thread"]);
    let warning = find(&house, "a warning");
    assert_eq!(warning.level, LogLevel::Warn);
    assert!(warning.target.ends_with("tests::logs"), "{}", warning.target);
    let fields: Vec<_> = warning.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(fields, ["code=7", "room=hall", "lamps=3"]);
    assert_eq!(warning.at_ms, house.now_ms());
    assert_eq!(find(&house, "made").fields, [("id".to_owned(), "talker".to_owned())]);
}

#[test]
fn the_filter_is_replaced_while_running() {
    let house = House::builder().log_filter("off").open::<Talker>();
    house.start(()).unwrap();
    assert_eq!(house.calls(&ops::LOG), 0, "nothing crosses that the filter keeps");
    house.set_log_filter("warn,gatehouse_plugin_api=trace").unwrap();
    house.start(()).unwrap();
    house.wait_for("all is logged", |house| messages(house).iter().any(|m| m == "from a blocking thread"));
    for message in ["a decision", "a warning", "a payload"] {
        find(&house, message);
    }
    let error = house.set_log_filter("a=b=c").unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.contains("a=b=c"), "{error}");
}

#[test]
fn an_unreadable_filter_at_the_start_becomes_info() {
    let house = House::builder().log_filter("a=b=c").open::<Talker>();
    house.wait_for("it is said", |house| messages(house).iter().any(|m| m.contains("cannot be read")));
    house.wait_for("info crosses", |house| messages(house).iter().any(|m| m == "made"));
}

#[test]
fn two_gateways_of_one_library_do_not_mix() {
    let one = House::builder().integration_id("one").log_filter("info").open::<Talker>();
    let two = House::builder().integration_id("two").log_filter("error").open::<Talker>();
    one.start(()).unwrap();
    two.start(()).unwrap();
    one.wait_for("its own", |house| messages(house).iter().any(|m| m == "from a blocking thread"));
    assert_eq!(messages(&one), ["made", "a warning", "from a blocking thread"]);
    assert_eq!(messages(&two), Vec::<String>::new());
}

#[test]
fn a_flood_of_events_is_bounded_counted_and_does_not_wait() {
    let house = House::builder().log_filter("info").open::<Talker>();
    house.hold_log(true);
    house.poll().unwrap();
    house.hold_log(false);
    // One event left at once, the queue took 1024, the others are counted with the next batch.
    house.wait_for("the queue arrived", |house| house.logs().len() >= 1025);
    assert_eq!(house.logs().len() as u64 + house.logs_dropped(), 5001);
}
