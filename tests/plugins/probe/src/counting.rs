//! Readings that count up without end: each is acknowledged before its number is noted and the next one is sent. Goes on
//! where it was when the worker is another one.

use std::fs;
use std::path::PathBuf;

use gatehouse_plugin_api::message::Reading;
use gatehouse_plugin_api::{Context, Result, Value, tokio};

/// Where the last acknowledged number stands.
const NOTED: &str = "acknowledged";

fn noted(context: &Context) -> PathBuf {
    context.data_dir().join(NOTED)
}

/// Goes on counting if it counted before.
pub(crate) fn go_on(context: &Context) {
    if noted(context).exists() {
        begin(context.clone());
    }
}

/// Counts from the number after the one that is noted, in the background.
pub(crate) fn begin(context: Context) {
    tokio::task::spawn_local(async move {
        if let Err(error) = count(&context).await {
            gatehouse_plugin_api::tracing::warn!(%error, "counting ended");
        }
    });
}

async fn count(context: &Context) -> Result<()> {
    let file = noted(context);
    let mut number: u32 = fs::read_to_string(&file).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    loop {
        number += 1;
        let value = Value::Number(f64::from(number));
        let reading = Reading { entity: "probe".parse()?, state: "count".parse()?, value, at_ms: None };
        context.emit_durable([reading]).await?;
        // Under another name first: whoever is killed in between leaves a whole number.
        let new = file.with_extension("new");
        fs::write(&new, number.to_string())?;
        fs::rename(&new, &file)?;
    }
}
