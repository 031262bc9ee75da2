//! Watches whether a service in the network answers, and how fast.

use std::cell::RefCell;
use std::time::Instant;

use gatehouse_plugin_api::{Context, Entity, IntegrationGateway, Result, Settings, State, export_integration};
use gatehouse_plugin_api::{tokio::net::TcpStream, url::Url};

#[derive(Debug, Clone, Settings)]
pub struct Service {
    /// Address of the service, such as `https://router.lan`.
    address: Url,
}

#[derive(Debug)]
pub struct Reachable {
    context: Context,
    address: RefCell<Option<Url>>,
}

impl IntegrationGateway for Reachable {
    type Settings = Service;

    fn new(context: Context) -> Self {
        Self { context, address: RefCell::default() }
    }

    async fn start(&self, Service { address }: Service) -> Result<()> {
        let entity = Entity::new("service").label(address.as_str());
        self.context.declare([entity.state(State::on_off("up")).state(State::number("delay", "ms"))]).await?;
        self.address.replace(Some(address));
        self.poll().await
    }

    async fn poll(&self) -> Result<()> {
        let Some(url) = self.address.borrow().clone() else { return Ok(()) };
        let service = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
        let began = Instant::now();
        let up = TcpStream::connect(service).await.is_ok();
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
