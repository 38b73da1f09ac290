//! Sentry and Loki as far as they take lines: they hold senders to their forms, keys and limits,
//! and know what they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::{
    Router,
    body::Bytes,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use log_sinks::{Dsn, Login, Loki, Sink};
use runtime::clock::Clock;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// What lets one in.
pub(super) const KEY: &str = "5e4711f0rsentry5e4711f0rsentry99";
pub(super) const PASSWORD: &str = "pa55w0rd-of-loki";
const TENANT: &str = "shop";

/// Sentry's limit of an event, unpacked.
const EVENT_MAX: usize = 1_000_000;
/// Loki's default limits of a line and of a request.
const LINE_MAX: usize = 256_000;
const PUSH_MAX: usize = 4_000_000;
/// By default Loki takes no line older than a week, and none that is an hour or more behind the
/// newest of its stream (`reject_old_samples_max_age`, half of `max_chunk_age`).
const AGE_MAX_NS: i64 = 7 * 24 * 3600 * 1_000_000_000;
const BEHIND_MAX_NS: i64 = 3600 * 1_000_000_000;

/// How a sink does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Well,
    /// The connection is closed without an answer.
    Breaks,
    /// It takes the request and never answers.
    Hangs,
    /// It takes the request, and its answer is lost.
    LosesAnswers,
    /// It answers so to whatever comes, with these headers.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// It takes what comes, and says this with it.
    WellBut(&'static [(&'static str, &'static str)]),
    /// It takes so many requests, and then gives no answer.
    StopsAfter(usize),
    /// It never takes a line with this text.
    Refuses(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Sentry,
    Loki,
}

/// A line as Loki has it: labels, nanoseconds, text, structured metadata.
pub(super) type Entry = (Value, String, String, Value);

#[derive(Clone)]
pub(super) struct Receiver {
    port: u16,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    clock: Clock,
    form: Form,
    state: State,
    /// How many requests came.
    requests: usize,
    /// By `event_id`: of two alike Sentry keeps one.
    events: BTreeMap<String, Value>,
    entries: Vec<Entry>,
}

impl Receiver {
    pub(super) async fn sentry(clock: &Clock) -> Self {
        Self::start(Form::Sentry, clock).await
    }

    pub(super) async fn loki(clock: &Clock) -> Self {
        Self::start(Form::Loki, clock).await
    }

    async fn start(form: Form, clock: &Clock) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let inner = Arc::new(Mutex::new(Inner {
            clock: clock.clone(),
            form,
            state: State::Well,
            requests: 0,
            events: BTreeMap::new(),
            entries: Vec::new(),
        }));
        let router = Router::new().fallback(take).with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, inner }
    }

    /// What an operator sets up.
    pub(super) fn sink(&self) -> Sink {
        let port = self.port;
        let form = self.inner().form;
        match form {
            Form::Sentry => {
                let dsn = format!("http://{KEY}@127.0.0.1:{port}/base/42");
                Sink::Sentry(Dsn::parse(&dsn).expect("a DSN"))
            }
            Form::Loki => {
                let login = Login::Basic {
                    user: "42".to_owned(),
                    password: Zeroizing::new(PASSWORD.to_owned()),
                };
                let address = format!("http://127.0.0.1:{port}");
                Sink::Loki(Loki::new(&address, Some(TENANT), login).expect("complete"))
            }
        }
    }

    pub(super) fn turns(&self, state: State) {
        self.inner().state = state;
    }

    pub(super) fn requests(&self) -> usize {
        self.inner().requests
    }

    /// The events that Sentry has.
    pub(super) fn events(&self) -> Vec<Value> {
        self.inner().events.values().cloned().collect()
    }

    /// The lines that Loki has.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.inner().entries.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("not poisoned")
    }
}

async fn take(
    Shared(sink): Shared<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (state, form, requests) = {
        let mut sink = sink.lock().expect("not poisoned");
        sink.requests += 1;
        (sink.state.clone(), sink.form, sink.requests)
    };
    let take = || {
        let mut sink = sink.lock().expect("not poisoned");
        match form {
            Form::Sentry => sink.envelope(uri.path(), &headers, &body),
            Form::Loki => sink.push(uri.path(), &headers, &body),
        }
    };
    match state {
        State::Well => take().unwrap_or_else(IntoResponse::into_response),
        State::Breaks => panic!("the connection breaks"),
        State::LosesAnswers => {
            drop(take());
            panic!("the connection breaks");
        }
        State::Hangs => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK.into_response()
        }
        State::Status(status, more) => {
            (StatusCode::from_u16(status).expect("a status"), with(more)).into_response()
        }
        State::WellBut(more) => match take() {
            Ok(taken) => (with(more), taken).into_response(),
            Err(refused) => refused.into_response(),
        },
        State::StopsAfter(most) if requests > most => panic!("the connection breaks"),
        State::StopsAfter(_) => take().unwrap_or_else(IntoResponse::into_response),
        State::Refuses(text) => {
            let said = String::from_utf8_lossy(&body);
            if said.contains(text) {
                (StatusCode::BAD_REQUEST, "it is not to my taste").into_response()
            } else {
                take().unwrap_or_else(IntoResponse::into_response)
            }
        }
    }
}

fn with(headers: &'static [(&'static str, &'static str)]) -> HeaderMap {
    let headers = headers.iter().map(|(name, value)| {
        (
            name.parse::<axum::http::HeaderName>().expect("a name"),
            value.parse().expect("a value"),
        )
    });
    headers.collect()
}

type Refused = (StatusCode, &'static str);

impl Inner {
    fn envelope(
        &mut self,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Response, Refused> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        if path != "/base/api/42/envelope/" {
            return Err((StatusCode::NOT_FOUND, "no such project"));
        }
        let auth = header("x-sentry-auth").unwrap_or_default();
        let parts: Vec<&str> = auth.trim_start_matches("Sentry ").split(", ").collect();
        let key = format!("sentry_key={KEY}");
        if !auth.starts_with("Sentry ")
            || !parts.contains(&"sentry_version=7")
            || !parts.contains(&key.as_str())
        {
            return Err((StatusCode::FORBIDDEN, "bad sentry DSN public key"));
        }
        let bad = |why| (StatusCode::BAD_REQUEST, why);
        if header("content-type") != Some("application/x-sentry-envelope") {
            return Err(bad("no envelope"));
        }
        let text = std::str::from_utf8(body).map_err(|_| bad("no text"))?;
        let parts: Vec<&str> = text.split_terminator('\n').collect();
        let [head, item, event] = parts[..] else {
            return Err(bad("an event item may occur at most once per envelope"));
        };
        let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|_| bad("no JSON"));
        let (head, item, read_event) = (read(head)?, read(item)?, read(event)?);
        if item["type"] != "event" || item["length"] != event.len() {
            return Err(bad("another item, or another length"));
        }
        if event.len() > EVENT_MAX {
            return Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                "envelope exceeded size limits",
            ));
        }
        let id = read_event["event_id"].as_str().unwrap_or_default();
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_id || head["event_id"] != id {
            return Err(bad("no event id"));
        }
        let trace = &read_event["contexts"]["trace"];
        let is_hex = |name: &str, length| {
            let text = trace[name].as_str().unwrap_or_default();
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if !is_hex("trace_id", 32) || !is_hex("span_id", 16) {
            return Err(bad("no trace context"));
        }
        let answer = json!({"id": id}).to_string();
        self.events.entry(id.to_owned()).or_insert(read_event);
        Ok(answer.into_response())
    }

    fn push(&mut self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refused> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let bad = |why| (StatusCode::BAD_REQUEST, why);
        if path != "/loki/api/v1/push" {
            return Err((StatusCode::NOT_FOUND, "404 page not found"));
        }
        // 42:pa55w0rd-of-loki
        if header("authorization") != Some("Basic NDI6cGE1NXcwcmQtb2YtbG9raQ==") {
            return Err((StatusCode::UNAUTHORIZED, "authentication error"));
        }
        if header("x-scope-orgid") != Some(TENANT) {
            return Err((StatusCode::UNAUTHORIZED, "no org id"));
        }
        if header("content-type") != Some("application/json") || body.len() > PUSH_MAX {
            return Err(bad("no JSON, or too much of it"));
        }
        let said: Value = serde_json::from_slice(body).map_err(|_| bad("no JSON"))?;
        let mut entries = Vec::new();
        for stream in said["streams"].as_array().ok_or(bad("no streams"))? {
            let labels = stream["stream"].as_object().ok_or(bad("no labels"))?;
            if labels.is_empty() || labels.len() > 15 {
                return Err(bad("too few or too many labels"));
            }
            let mut before = String::new();
            for value in stream["values"].as_array().ok_or(bad("no values"))? {
                // A number is refused: a time in nanoseconds does not fit into a float.
                let at = value[0].as_str().ok_or(bad("a time that is no text"))?;
                let line = value[1].as_str().ok_or(bad("a line that is no text"))?;
                let metadata = value[2].as_object().ok_or(bad("no metadata"))?;
                let is_text = metadata.values().all(Value::is_string);
                if at.len() != 19 || !at.bytes().all(|digit| digit.is_ascii_digit()) || !is_text {
                    return Err(bad("no time in nanoseconds, or metadata that is no text"));
                }
                if line.len() > LINE_MAX || before.as_str() > at {
                    return Err(bad("max entry size exceeded, or out of order"));
                }
                at.clone_into(&mut before);
                let labels = stream["stream"].clone();
                entries.push((labels, at.to_owned(), line.to_owned(), value[2].clone()));
            }
        }
        // Of a request with lines that are too old, Loki takes the others.
        let (all, now_ns) = (entries.len(), self.clock.now_ms() * 1_000_000);
        let nanoseconds = |entry: &Entry| entry.1.parse::<i64>().expect("nanoseconds");
        let mut newest: BTreeMap<String, i64> = BTreeMap::new();
        for entry in &self.entries {
            let of_stream = newest.entry(entry.0.to_string()).or_insert(i64::MIN);
            *of_stream = nanoseconds(entry).max(*of_stream);
        }
        // The same line at the same time in the same stream is there once.
        let key = |entry: &Entry| format!("{} {} {}", entry.0, entry.1, entry.2);
        let mut known: BTreeSet<String> = self.entries.iter().map(key).collect();
        let mut too_old = Vec::new();
        for entry in entries {
            let at_ns = nanoseconds(&entry);
            let newest_ns = newest.get(&entry.0.to_string()).copied();
            if now_ns - at_ns > AGE_MAX_NS {
                too_old.push("has timestamp too old");
            } else if newest_ns.is_some_and(|newest| newest - at_ns > BEHIND_MAX_NS) {
                too_old.push("ignored, reason: 'entry too far behind'");
            } else if known.insert(key(&entry)) {
                self.entries.push(entry);
            }
        }
        if let Some(reason) = too_old.first() {
            let ignored = too_old.len();
            let text = format!("entry for stream {reason}, total ignored: {ignored} out of {all}");
            return Ok((StatusCode::BAD_REQUEST, text).into_response());
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}
