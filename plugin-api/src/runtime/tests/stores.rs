//! Stores, health, progress and the clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::declare_meter;
use crate::error::Result;
use crate::message::HealthStatus;
use crate::testing::House;
use crate::tokio::task::spawn_local;
use crate::{Context, IntegrationGateway, Secret};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cursor {
    page: u32,
    seen: Option<String>,
}

struct Keeper(Context);

impl IntegrationGateway for Keeper {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self(context)
    }
    async fn start(&self, _: ()) -> Result<()> {
        let context = self.0.clone();
        let page = context.kv().get::<Cursor>("cursor").await?.map_or(0, |cursor| cursor.page);
        let seen = Some("é".to_owned());
        context.kv().set("cursor", &Cursor { page: page + 1, seen }).await?;
        context.kv().set_bytes("other", vec![1]).await?;
        assert_eq!(context.kv().keys("c").await?, ["cursor"]);
        context.kv().delete("other").await?;
        assert!(context.kv().get_bytes("other").await?.is_none());
        if context.secrets().get("token").await?.is_none() {
            context.secrets().set("token", Secret::new("s3cret".into())).await?;
        }
        context.health(HealthStatus::Warning, "half the lamps are dark").await?;
        context.progress("reading lamps", Some(50.0)).await?;
        std::fs::write(context.data_dir().join("note"), "kept")?;
        declare_meter(&context).await?;
        spawn_local(async move {
            loop {
                context.clock().sleep(Duration::from_secs(60)).await;
                let minute = context.clock().now_ms() / 60_000 % 60;
                if context.emit_value("meter", "count", minute as f64).await.is_err() {
                    break;
                }
            }
        });
        Ok(())
    }
    async fn stop(&self) -> Result<()> {
        self.0.secrets().delete("token").await
    }
}

#[test]
fn stores_outlive_the_gateway() {
    let mut house = House::open::<Keeper>();
    house.start(()).unwrap();
    assert_eq!(house.secret("token").unwrap().expose(), "s3cret");
    house.reopen::<Keeper>().unwrap();
    house.start(()).unwrap();
    assert_eq!(house.kv::<Cursor>("cursor"), Some(Cursor { page: 2, seen: Some("é".into()) }));
    assert_eq!(std::fs::read_to_string(house.data_dir().join("note")).unwrap(), "kept");
    house.stop().unwrap();
    assert!(house.secret("token").is_none());
    assert!(!format!("{house:?}").contains("s3cret"));
}

#[test]
fn health_and_progress_are_told() {
    let house = House::open::<Keeper>();
    house.start(()).unwrap();
    assert_eq!(house.health().status, HealthStatus::Warning);
    assert_eq!(house.health().message, "half the lamps are dark");
    assert_eq!(house.progress()[0].percent, Some(50.0));
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let house = House::open::<Keeper>();
    house.start(()).unwrap();
    for minute in 1..=3_i32 {
        assert_eq!(house.readings().len() as i32, minute - 1);
        house.advance(Duration::from_secs(59));
        assert_eq!(house.readings().len() as i32, minute - 1);
        house.advance(Duration::from_secs(1));
        assert_eq!(house.number("meter", "count"), Some(f64::from(minute)));
    }
}
