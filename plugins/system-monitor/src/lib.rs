//! Watches the machine it runs on: processor, memory, disks, network, temperatures, uptime.
#![forbid(unsafe_code)]

mod flow;
mod measure;
mod names;
mod options;
mod watch;

use std::rc::Rc;

use gatehouse_plugin_api::flow::{FlowReply, FlowRequest};
use gatehouse_plugin_api::message::SettingsOutcome;
use gatehouse_plugin_api::{Context, IntegrationGateway, Result, export_integration, serde_json};

pub use options::Options;
use watch::Watch;

/// The gateway: one watch over this machine.
#[derive(Debug)]
pub struct SystemMonitor {
    watch: Rc<Watch>,
}

impl IntegrationGateway for SystemMonitor {
    type Settings = Options;

    fn new(context: Context) -> Self {
        Self { watch: Rc::new(Watch::new(context)) }
    }

    async fn activate(&self, request: FlowRequest) -> Result<FlowReply> {
        flow::activate(request).await
    }

    async fn start(&self, settings: Options) -> Result<()> {
        Rc::clone(&self.watch).begin(settings).await
    }

    async fn poll(&self) -> Result<()> {
        self.watch.cycle().await
    }

    async fn settings_changed(&self, settings: Options) -> Result<SettingsOutcome> {
        self.watch.change(settings).await?;
        Ok(SettingsOutcome::Applied)
    }

    async fn diagnostics(&self) -> Result<serde_json::Value> {
        Ok(self.watch.diagnostics())
    }
}

export_integration! {
    gateway: SystemMonitor,
    id: "system-monitor",
    label: "System monitor",
    capabilities: [read("/proc"), read("/sys"), read("/dev/disk"), read("/etc/os-release"), read("/usr/lib/os-release")],
}
