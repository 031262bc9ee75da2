//! HTTP/1.1 over the control socket with nothing but the standard library: what any client sees.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::wait::BOUND;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON, null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends raw bytes and reads to the end of the connection.
///
/// # Errors
/// When the socket cannot be reached or breaks.
pub fn raw(socket: &Path, request: &[u8]) -> Result<String> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// One request with a JSON body (or none).
///
/// # Errors
/// When the socket cannot be reached or the answer is no HTTP.
pub fn request(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: gatehouse\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let text = raw(socket, format!("{head}{body}").as_bytes())?;
    let (head, mut rest) = text.split_once("\r\n\r\n").context("no end of the head")?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).context("no status")?;
    let mut body = String::new();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        while let Some((size, after)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size.trim(), 16).context("chunk size")?;
            if size == 0 {
                break;
            }
            body.push_str(after.get(..size).context("chunk cut short")?);
            rest = after.get(size + 2..).unwrap_or_default();
        }
    } else {
        body.push_str(rest);
    }
    Ok(Answer { status, body })
}
