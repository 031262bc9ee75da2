//! A host in memory: a plugin's tests need no daemon.
//!
//! A [`House`] opens a gateway through the very boundary that a real host uses, on its own thread, and keeps in memory
//! what the gateway does: entities, readings, logs, health, stores. Its clock stands still until a test moves it. All
//! methods block the test's thread until the gateway has answered, at most for the operation's deadline.
//!
//! ```
//! use gatehouse_plugin_api::testing::House;
//! use gatehouse_plugin_api::{Context, Entity, IntegrationGateway, Result, State, Value};
//!
//! struct Porch(Context);
//!
//! impl IntegrationGateway for Porch {
//!     type Settings = ();
//!     fn new(context: Context) -> Self {
//!         Self(context)
//!     }
//!     async fn start(&self, _: ()) -> Result<()> {
//!         self.0.declare([Entity::new("lamp").state(State::on_off("power"))]).await?;
//!         self.0.emit_value("lamp", "power", true).await
//!     }
//! }
//!
//! let house = House::open::<Porch>();
//! house.start(()).expect("starts");
//! house.wait_for("the lamp is on", |house| house.state("lamp", "power") == Some(Value::OnOff(true)));
//! house.stop().expect("stops");
//! ```

mod flow;
mod host;
mod house;
mod world;

pub use flow::FlowDriver;
pub use house::{Builder, House, IntoValues, Waiting};
