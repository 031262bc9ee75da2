//! The zoo: every way in which a plugin can misbehave, picked by name.
//!
//! The file `fault` in the integration's own folder says what is wrong with it, as `PLACE KIND` (`poll panic`): what
//! is done ([`fault`]) and in which operation. It is read at every operation, so an animal is well until the file is
//! there. `constructor` is the gateway's, `init` the library's own, which runs before anything is asked of it.
#![expect(unsafe_code, reason = "plugins that destroy are what tests ask for")]

mod channel;
mod endings;
mod fault;
mod floods;
mod init;
mod process;
mod values;

use gatehouse_plugin_api::attribute::FieldErrors;
use gatehouse_plugin_api::flow::{FlowReply, FlowRequest};
use gatehouse_plugin_api::ids::EntityName;
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest};
use gatehouse_plugin_api::message::{
    Connection, ConnectionResult, Control, ControlOutcome, EntityDeclaration, SettingsOutcome, Snapshot,
};
use gatehouse_plugin_api::{
    Context, Entity, IntegrationGateway, Result, Settings, State, export_integration, serde_json,
};

use fault::Fault;

/// The settings.
#[derive(Debug, Settings)]
pub struct Sign {
    /// What the sign on the cage says
    sign: Option<String>,
}

/// The gateway.
#[derive(Debug)]
pub struct Zoo {
    context: Context,
}

impl Zoo {
    /// Does what is wrong with this place, if anything.
    async fn visit(&self, place: &str) -> Result<()> {
        match Fault::at(self.context.data_dir(), place) {
            Some(fault) => fault.strike(&self.context).await,
            None => Ok(()),
        }
    }
}

impl IntegrationGateway for Zoo {
    type Settings = Sign;

    fn new(context: Context) -> Self {
        if let Some(fault) = Fault::at(context.data_dir(), "constructor") {
            fault.strike_now();
        }
        Self { context }
    }

    async fn start(&self, _: Sign) -> Result<()> {
        self.context.declare([cage()]).await?;
        self.context.emit_value("cage", "count", 1.0).await?;
        self.visit("start").await
    }

    async fn stop(&self) -> Result<()> {
        self.visit("stop").await
    }

    async fn poll(&self) -> Result<()> {
        self.visit("poll").await
    }

    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        self.visit("control").await?;
        Ok(ControlOutcome { value: Some(control.value) })
    }

    async fn activate(&self, _: FlowRequest) -> Result<FlowReply> {
        self.visit("activate").await?;
        Ok(FlowReply::Default)
    }

    async fn deactivate(&self, _: FlowRequest) -> Result<FlowReply> {
        self.visit("deactivate").await?;
        Ok(FlowReply::Default)
    }

    async fn manage(&self, _: ManageRequest) -> Result<ManageReply> {
        let text = match Fault::at(self.context.data_dir(), "manage") {
            Some(fault) if fault.is("huge-answer") => "zoo ".repeat(3_500_000),
            Some(fault) if fault.is("oversized-answer") => "zoo ".repeat(5_000_000),
            Some(fault) => {
                fault.strike(&self.context).await?;
                "survived".to_owned()
            }
            None => "well".to_owned(),
        };
        Ok(ManageReply::Message { error: false, text })
    }

    async fn validate_configuration(&self, settings: &Sign) -> Result<FieldErrors> {
        // What runs already is checked at every start; only a new sign is what a test means.
        if settings.sign.is_some() {
            self.visit("validate").await?;
        }
        Ok(FieldErrors::new())
    }

    async fn test_connection(&self, _: Sign) -> Result<ConnectionResult> {
        self.visit("test").await?;
        Ok(ConnectionResult { outcome: Connection::Ok, message: String::new() })
    }

    async fn synchronize(&self) -> Result<Vec<EntityDeclaration>> {
        if let Some(fault) = Fault::at(self.context.data_dir(), "synchronize") {
            if fault.is("too-many") {
                return floods::too_many_entities();
            }
            if fault.is("twins") {
                return [Entity::new("Twin"), Entity::new("twin")].into_iter().map(Entity::build).collect();
            }
            fault.strike(&self.context).await?;
        }
        Ok(vec![cage().build()?])
    }

    async fn settings_changed(&self, _: Sign) -> Result<SettingsOutcome> {
        self.visit("settings").await?;
        Ok(SettingsOutcome::Applied)
    }

    async fn diagnostics(&self) -> Result<serde_json::Value> {
        if let Some(fault) = Fault::at(self.context.data_dir(), "diagnostics") {
            if fault.is("deep") {
                return Ok(floods::deep(200));
            }
            if fault.is("bottomless") {
                // Its own encoder does not come to the end of it.
                return Ok(floods::deep(200_000));
            }
            fault.strike(&self.context).await?;
        }
        Ok(serde_json::json!({ "cage": "locked" }))
    }

    async fn snapshot(&self, _: EntityName) -> Result<Snapshot> {
        self.visit("snapshot").await?;
        Ok(Snapshot { media_type: "image/png".to_owned(), bytes: Vec::new() })
    }

    async fn stream(&self, _: EntityName) -> Result<String> {
        self.visit("stream").await?;
        Ok("rtsp://zoo.example/cage".to_owned())
    }

    async fn export_state(&self) -> Result<Vec<u8>> {
        self.visit("export").await?;
        Ok(b"fed".to_vec())
    }

    async fn import_state(&self, _: Vec<u8>) -> Result<()> {
        self.visit("import").await
    }
}

impl Drop for Zoo {
    fn drop(&mut self) {
        if let Some(fault) = Fault::at(self.context.data_dir(), "drop") {
            fault.strike_now();
        }
    }
}

/// The one entity of a well animal.
fn cage() -> Entity {
    Entity::new("cage")
        .state(State::number("count", ""))
        .state(State::text("sign"))
        .state(State::on_off("door").controllable())
        .state(State::timestamp("fed"))
}

export_integration! {
    gateway: Zoo,
    id: "zoo",
    label: "Zoo",
    poll_interval: "100ms",
}
