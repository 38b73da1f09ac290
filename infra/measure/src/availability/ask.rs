//! HTTP to what runs on this machine: one connection for each question.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::failure::{ErrorContext, Failure, MeasureResult};

/// API Gateway itself gives up after 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> MeasureResult<Value> {
        serde_json::from_str(&self.body).during(format!("reading {self:?}"))
    }

    /// The same, if it is a success.
    pub(crate) fn success(self, what: &str) -> MeasureResult<Self> {
        if (200..300).contains(&self.status) {
            Ok(self)
        } else {
            Err(Failure::new(format!("{what} was answered with {self:?}")))
        }
    }
}

/// Asks with these header fields beside those of the connection.
pub(crate) fn ask(
    method: &str,
    url: &str,
    headers: &[(String, String)],
    body: &str,
) -> MeasureResult<Answer> {
    let what = || format!("{method} {url}");
    let address = url
        .strip_prefix("http://")
        .ok_or_else(|| Failure::new(format!("{url} is not on this machine")))?;
    let (host, path) = address.split_once('/').unwrap_or((address, ""));
    let mut head = format!("{method} /{path} HTTP/1.1\r\nConnection: close\r\n");
    let given = [
        ("host", host.to_owned()),
        ("content-length", body.len().to_string()),
    ];
    for (name, value) in given {
        if !headers
            .iter()
            .any(|(given, _)| given.eq_ignore_ascii_case(name))
        {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut stream = TcpStream::connect(host).during(what())?;
    stream
        .set_read_timeout(Some(ANSWER_WITHIN))
        .during(what())?;
    stream
        .write_all(format!("{head}\r\n{body}").as_bytes())
        .during(what())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).during(what())?;
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    match (status, text.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok(Answer {
            status,
            body: body.to_owned(),
        }),
        _ => Err(Failure::new(format!("{} broke off", what()))),
    }
}

pub(crate) fn get(url: &str) -> MeasureResult<Answer> {
    ask("GET", url, &[], "")
}

pub(crate) fn post(url: &str, body: &Value) -> MeasureResult<Answer> {
    let json = [("content-type".to_owned(), "application/json".to_owned())];
    ask("POST", url, &json, &body.to_string())
}
