//! A connection that finds no room: told so in one sentence, without a request being read.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

use super::types::Problem;

/// Connections that are told at once; more are closed without a word.
const AT_ONCE: usize = 64;
/// How long one may take to hear it.
const WITHIN: Duration = Duration::from_secs(1);
/// What is read and thrown away of its request, so that its sender hears why.
const DISCARD_BYTES: u64 = 64 * 1024;

static TELLING: Semaphore = Semaphore::const_new(AT_ONCE);

/// Tells, in the background.
pub(super) fn refuse(mut stream: UnixStream, most: usize) {
    let Ok(permit) = TELLING.try_acquire() else { return };
    tokio::spawn(async move {
        let tell = async {
            stream.write_all(answer(most).as_bytes()).await?;
            stream.shutdown().await?;
            // Closed with a request unread, the answer would be lost on some systems.
            tokio::io::copy(&mut (&mut stream).take(DISCARD_BYTES), &mut tokio::io::sink()).await
        };
        // One that does not listen is not waited for.
        let _ = tokio::time::timeout(WITHIN, tell).await;
        drop(permit);
    });
}

fn answer(most: usize) -> String {
    let problem = Problem {
        code: "busy".to_owned(),
        message: format!(
            "the daemon serves {most} connections already, the most it does: try again, or close some, or raise \
             api.connections"
        ),
        fields: std::collections::BTreeMap::new(),
    };
    let body = serde_json::to_string(&problem).expect("texts become JSON");
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
