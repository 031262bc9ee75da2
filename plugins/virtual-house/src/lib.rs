//! A house that is not there: lamps, a thermostat, a door with a camera, motion and a meter, to try everything with.
//!
//! It has every kind of value and of setting, states that can be set and states that cannot, images, a flow of its own to
//! activate and to deactivate it, and pages to furnish it. What happens in it happens by a seeded chance.
#![forbid(unsafe_code)]

mod camera;
mod control;
mod day;
mod entities;
mod flow;
mod home;
mod model;
mod options;
mod pages;
mod picture;
mod random;
mod simulate;

use std::rc::Rc;

use gatehouse_plugin_api::flow::{FlowReply, FlowRequest};
use gatehouse_plugin_api::ids::EntityName;
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest};
use gatehouse_plugin_api::message::{Control, ControlOutcome, SettingsOutcome, Snapshot};
use gatehouse_plugin_api::{Context, IntegrationGateway, Result, export_integration, serde_json};

use flow::Activation;
use home::Home;
pub use options::{Options, Season};

/// The gateway to the house.
#[derive(Debug)]
pub struct VirtualHouse {
    home: Rc<Home>,
    activation: Activation,
}

impl IntegrationGateway for VirtualHouse {
    type Settings = Options;

    fn new(context: Context) -> Self {
        Self { home: Rc::new(Home::new(context)), activation: Activation::default() }
    }

    async fn start(&self, settings: Options) -> Result<()> {
        Rc::clone(&self.home).begin(settings).await
    }

    async fn stop(&self) -> Result<()> {
        self.home.save().await
    }

    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        self.home.control(control).await
    }

    async fn snapshot(&self, entity: EntityName) -> Result<Snapshot> {
        self.home.snapshot(&entity).await
    }

    async fn activate(&self, request: FlowRequest) -> Result<FlowReply> {
        self.activation.turn(request)
    }

    async fn deactivate(&self, request: FlowRequest) -> Result<FlowReply> {
        flow::deactivate(&self.home, request).await
    }

    async fn manage(&self, request: ManageRequest) -> Result<ManageReply> {
        pages::manage(&self.home, request).await
    }

    fn panes() -> &'static [(&'static str, &'static str)] {
        pages::PANES
    }

    async fn settings_changed(&self, settings: Options) -> Result<SettingsOutcome> {
        self.home.change(settings).await
    }

    async fn diagnostics(&self) -> Result<serde_json::Value> {
        Ok(self.home.diagnostics())
    }
}

export_integration! {
    gateway: VirtualHouse,
    id: "virtual-house",
    label: "Virtual house",
    capabilities: [read("{picture}")],
}
