//! A plugin as they are written: an HTTP client with TLS, sockets of tokio's, names, time zones. Its page does one thing
//! at a time and says what came of it.

use std::path::PathBuf;

use gatehouse_plugin_api::manage::{ManageReply, ManageRequest};
use gatehouse_plugin_api::{
    Context, Entity, Error, IntegrationGateway, Result, Settings, State, export_integration, tokio as sdk_tokio,
    url::Url,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The settings.
#[derive(Debug, Clone, Settings)]
pub struct Upstream {
    /// Address of the upstream
    url: Url,
    /// Certificate that it is known by
    certificate: PathBuf,
}

/// The gateway.
#[derive(Debug)]
pub struct Guest {
    context: Context,
    upstream: std::cell::RefCell<Option<Upstream>>,
}

impl IntegrationGateway for Guest {
    type Settings = Upstream;

    fn new(context: Context) -> Self {
        Self { context, upstream: std::cell::RefCell::default() }
    }

    async fn start(&self, settings: Upstream) -> Result<()> {
        self.upstream.replace(Some(settings));
        self.context.declare([Entity::new("guest").state(State::text("said"))]).await
    }

    async fn manage(&self, request: ManageRequest) -> Result<ManageReply> {
        let upstream = self.upstream.borrow().clone().ok_or_else(|| Error::not_found("it was not started"))?;
        let asked = |key: &str| request.params.get(key).cloned().unwrap_or_default();
        let text = match asked("do").as_str() {
            "fetch" => fetch(&upstream).await.map_err(|error| Error::transient(told(&*error)))?,
            "exchange" => exchange(&asked("at")).await?,
            "time" => offset(&asked("zone"))?,
            "spawn" => sdk_tokio::task::spawn_blocking(|| "from another thread".to_owned()).await?,
            other => return Err(Error::not_found(format!("a guest does not {other:?}"))),
        };
        Ok(ManageReply::Message { error: false, text })
    }
}

/// Through reqwest and rustls, by a certificate of its own.
async fn fetch(upstream: &Upstream) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let root = reqwest::Certificate::from_pem(&std::fs::read(&upstream.certificate)?)?;
    let client = reqwest::Client::builder().add_root_certificate(root).no_proxy().build()?;
    Ok(client.get(upstream.url.as_str()).send().await?.error_for_status()?.text().await?)
}

/// Sends a line and reads the answer.
async fn exchange(at: &str) -> Result<String> {
    let mut stream = TcpStream::connect(at).await?;
    stream.write_all(b"hello\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The offset of a zone in the middle of 2026, by the system's own data.
fn offset(zone: &str) -> Result<String> {
    let zone = jiff::tz::TimeZone::get(zone).map_err(|error| Error::not_found(error.to_string()))?;
    let noon = jiff::civil::date(2026, 7, 1).at(12, 0, 0, 0);
    let noon = noon.to_zoned(zone).map_err(|error| Error::not_found(error.to_string()))?;
    Ok(noon.offset().to_string())
}

/// An error with its causes.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

export_integration! {
    gateway: Guest,
    id: "guest",
    label: "Guest",
    capabilities: [network("{url}"), read("{certificate}")],
}
