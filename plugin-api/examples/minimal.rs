//! Watches whether a service in the network answers, and how fast.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use gatehouse_plugin_api::tokio::{net::TcpStream, time::timeout};
use gatehouse_plugin_api::{
    Context, Entity, IntegrationGateway, Result, Settings, State, export_integration, url::Url,
};

#[derive(Debug, Clone, Settings)]
pub struct Service {
    /// Address of the service, such as `https://router.lan`.
    address: Url,
    /// How long to wait for an answer.
    #[setting(default = "2s")]
    patience: Duration,
}

#[derive(Debug)]
pub struct Reachable {
    context: Context,
    service: RefCell<Option<Service>>,
}

impl IntegrationGateway for Reachable {
    type Settings = Service;

    fn new(context: Context) -> Self {
        Self { context, service: RefCell::default() }
    }

    async fn start(&self, service: Service) -> Result<()> {
        let entity = Entity::new("service").label(service.address.as_str());
        self.context.declare([entity.state(State::on_off("up")).state(State::number("delay", "ms"))]).await?;
        self.service.replace(Some(service));
        self.poll().await
    }

    async fn poll(&self) -> Result<()> {
        let Some(Service { address, patience }) = self.service.borrow().clone() else { return Ok(()) };
        let (host, port) = (address.host_str().unwrap_or_default(), address.port_or_known_default().unwrap_or(80));
        let began = Instant::now();
        let up = matches!(timeout(patience, TcpStream::connect((host, port))).await, Ok(Ok(_)));
        if up {
            self.context.emit_value("service", "delay", began.elapsed().as_secs_f64() * 1000.0).await?;
        }
        self.context.emit_value("service", "up", up).await
    }
}

export_integration! {
    gateway: Reachable,
    id: "reachable",
    label: "Reachable",
    poll_interval: "30s",
    capabilities: [network("{address}")],
}
