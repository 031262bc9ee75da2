//! From an operation's number and bytes to the author's method and back.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{chunks, panics};
use crate::attribute::FieldErrors;
use crate::context::Context;
use crate::error::{CallError, Error, ErrorCode};
use crate::flow::FlowRequest;
use crate::gateway::{IntegrationGateway, parse_settings};
use crate::log::LogForwarder;
use crate::manage::{ManageRequest, PaneReply, PaneRequest};
use crate::message::{
    Attributes, Blob, Connection, ConnectionResult, Control, Diagnostics, EntityRef, LogFilter, Stream, SyncCall,
};
use crate::{ops, wire};

/// The numbers of the table as patterns.
macro_rules! numbers {
    ($($name:ident),* $(,)?) => { $(const $name: u32 = ops::$name.number;)* };
}
numbers! {
    PING, ACTIVATE, DEACTIVATE, MANAGE, PANE, VALIDATE_CONFIGURATION, TEST_CONNECTION, START, STOP, POLL, CONTROL,
    SYNCHRONIZE, SETTINGS_CHANGED, DIAGNOSTICS, SNAPSHOT, STREAM, EXPORT_STATE, IMPORT_STATE, SET_LOG_FILTER,
}

type Answer = Result<Vec<u8>, CallError>;

fn ok<T: Serialize>(body: T) -> Answer {
    Ok(wire::encode_reply::<T>(&Ok(body)))
}

/// The operations that need no gateway: their answers, or `None` for the others.
pub(super) fn immediate<G: IntegrationGateway>(log: &LogForwarder, op: u32, request: &[u8]) -> Option<Vec<u8>> {
    let answer = match op {
        PANE => wire::decode::<PaneRequest>(request).and_then(|pane| {
            let source = G::panes().iter().find(|(name, _)| *name == pane.name);
            ok(PaneReply { source: source.map(|(_, source)| (*source).to_owned()) })
        }),
        SET_LOG_FILTER => wire::decode::<LogFilter>(request).and_then(|wanted| {
            log.set_filter(&wanted.filter)?;
            ok(())
        }),
        _ => return None,
    };
    Some(answer.unwrap_or_else(|error| wire::encode_reply::<()>(&Err(error))))
}

/// Performs one operation of the gateway's; the answer is the reply's bytes, errors included.
pub(super) async fn perform<G: IntegrationGateway>(
    gateway: Rc<G>,
    context: Context,
    op: u32,
    request: Vec<u8>,
) -> Vec<u8> {
    let answer = answer(&*gateway, &context, op, &request).await;
    answer.unwrap_or_else(|error| wire::encode_reply::<()>(&Err(error)))
}

async fn answer<G: IntegrationGateway>(gateway: &G, context: &Context, op: u32, request: &[u8]) -> Answer {
    match op {
        PING => {
            // Behind every task that is ready: the answer says that the tasks get their turn, not the queue alone.
            tokio::task::yield_now().await;
            ok(())
        }
        ACTIVATE => ok(gateway.activate(read::<FlowRequest>(op, request)?).await?),
        DEACTIVATE => ok(gateway.deactivate(read::<FlowRequest>(op, request)?).await?),
        MANAGE => ok(gateway.manage(read::<ManageRequest>(op, request)?).await?),
        VALIDATE_CONFIGURATION => {
            let problems = match settings::<G>(op, request) {
                Ok(settings) => gateway.validate_configuration(&settings).await?,
                Err(error) if !error.fields.is_empty() => error.fields,
                Err(error) => return Err(error),
            };
            ok(problems)
        }
        TEST_CONNECTION => {
            let settings = validated(gateway, op, request).await?;
            ok(gateway.test_connection(settings).await.unwrap_or_else(connection))
        }
        START => {
            let settings = validated(gateway, op, request).await?;
            context.begin();
            ok(gateway.start(settings).await?)
        }
        STOP => {
            context.cancel();
            // What was emitted arrives even when `stop` panics.
            let mut stop = pin!(gateway.stop());
            let stopped = poll_fn(|cx| match panics::catch(|| stop.as_mut().poll(cx)) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(stopped)) => Poll::Ready(Ok(stopped)),
                Err(panic) => Poll::Ready(Err(panic)),
            })
            .await;
            let flushed = context.flush().await;
            stopped??;
            match flushed {
                Err(error) if error.code() != ErrorCode::Unsupported => Err(error.into()),
                _ => ok(()),
            }
        }
        POLL => ok(gateway.poll().await?),
        CONTROL => ok(gateway.control(read::<Control>(op, request)?).await?),
        SYNCHRONIZE => {
            let call = read::<SyncCall>(op, request)?;
            let entities = gateway.synchronize().await?;
            chunks::send(context.host(), call, entities).await?;
            ok(())
        }
        SETTINGS_CHANGED => {
            let settings = validated(gateway, op, request).await?;
            ok(gateway.settings_changed(settings).await?)
        }
        DIAGNOSTICS => ok(Diagnostics { data: gateway.diagnostics().await? }),
        SNAPSHOT => ok(gateway.snapshot(read::<EntityRef>(op, request)?.entity).await?),
        STREAM => ok(Stream { url: gateway.stream(read::<EntityRef>(op, request)?.entity).await? }),
        EXPORT_STATE => ok(Blob { bytes: gateway.export_state().await? }),
        IMPORT_STATE => ok(gateway.import_state(read::<Blob>(op, request)?.bytes).await?),
        unknown => {
            let message = match ops::by_number(unknown) {
                Some(op) => format!("{} is an operation of the host's, not of a gateway's", op.name),
                None => format!("this plugin knows no operation {unknown}: it was built with an older plugin-api"),
            };
            Err(CallError::new(ErrorCode::Unsupported, message))
        }
    }
}

fn read<T: DeserializeOwned>(op: u32, request: &[u8]) -> Result<T, CallError> {
    wire::decode(request).map_err(|error| {
        let name = ops::by_number(op).map_or("unknown", |op| op.name);
        CallError { message: format!("{name}: {}", error.message), ..error }
    })
}

fn settings<G: IntegrationGateway>(op: u32, request: &[u8]) -> Result<G::Settings, CallError> {
    parse_settings::<G::Settings>(&read::<Attributes>(op, request)?.attributes)
}

/// Settings that the struct and the author's own check agree with.
async fn validated<G: IntegrationGateway>(gateway: &G, op: u32, request: &[u8]) -> Result<G::Settings, CallError> {
    let settings = settings::<G>(op, request)?;
    let problems: FieldErrors = gateway.validate_configuration(&settings).await?;
    if problems.is_empty() { Ok(settings) } else { Err(CallError::bad_fields(problems)) }
}

fn connection(error: Error) -> ConnectionResult {
    let outcome = match error.code() {
        ErrorCode::BadCredentials => Connection::BadCredentials,
        ErrorCode::Transient => Connection::CannotConnect,
        _ => Connection::Other,
    };
    ConnectionResult { outcome, message: error.to_string() }
}
