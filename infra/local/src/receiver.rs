//! The merchant's system: receives webhooks on this machine, verifies each, and keeps the newest.
//!
//! URL and secret stay the same from run to run. Messages left in the queue are sent as soon as the
//! engine starts again, before anything could be registered again, and a function caches the URL
//! for a minute.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY};
use http::{HeaderMap, StatusCode};
use hyper::body::Bytes;
use runtime::clock::Clock;
use runtime::net::{Reach, WebhookUrl};
use runtime::random::Random;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use standard_webhooks::{Received, Refusal, Secret, verify};
use stores::keys_table::{KeysTable, Webhook};

use crate::caller::CLIENT_ID;
use crate::failure::Failure;
use crate::port::{Port, Serving};
use crate::state::StateDir;

/// What the next run needs.
const FILE: &str = "webhook.json";

/// Where webhooks are posted, and where those that came are listed: as a page to a browser, else as
/// JSON.
const PATH: &str = "/webhooks";

/// Where the page asks for what came, and how many were refused.
const INBOX_PATH: &str = "/webhooks/inbox";

/// What a browser is shown.
const PAGE: &str = include_str!("receiver/page.html");

/// The page needs no external resources, and must not load any: it shows data from others.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

/// The largest body that is read, in bytes; an event has some 400.
const BODY_MAX: usize = 16 * 1024;

/// How many webhooks are kept.
const KEPT_MAX: usize = 200;

/// The first of the ports to choose from, and how many there are. The system does not use them for
/// outgoing connections (Linux starts at 32768), so that the next run can have the same one.
const PORTS: (u16, u16) = (20_000, 10_000);

/// How many ports are tried.
const PORT_TRIES: usize = 50;

/// A running receiver.
pub(crate) struct Receiver {
    url: String,
    inbox: Arc<Inbox>,
    serving: Serving,
}

/// What came.
struct Inbox {
    secret: Secret,
    clock: Clock,
    /// Whether each webhook is reported on standard error.
    shown: Arc<AtomicBool>,
    kept: Mutex<ReceivedWebhooks>,
}

#[derive(Default, Serialize)]
struct ReceivedWebhooks {
    /// The newest first.
    webhooks: VecDeque<Delivery>,
    counts: Counts,
}

/// How many came.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// Verified webhooks, also those that came again.
    pub(crate) verified: u64,
    /// What was not believed.
    pub(crate) refused: u64,
    /// Why the last of these was not.
    pub(crate) last_refusal: Option<String>,
}

/// A webhook that was verified.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Delivery {
    /// The same for every attempt and replay.
    pub(crate) webhook_id: String,
    /// When it came first (Unix milliseconds).
    pub(crate) at_ms: i64,
    /// How often it came.
    pub(crate) times: u32,
    /// What it shows.
    #[serde(flatten)]
    pub(crate) change: OrderEvent,
}

/// A change of an order from its webhook. The other fields are in the contract,
/// `infra/openapi.yaml`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct OrderEvent {
    pub(crate) order_no: String,
    pub(crate) version: u64,
    pub(crate) subject: String,
    pub(crate) subject_id: String,
    pub(crate) from: Option<String>,
    pub(crate) to: String,
}

/// Why a request is not one of our webhooks.
#[derive(Debug, thiserror::Error)]
enum WebhookRejected {
    #[error(transparent)]
    Signature(#[from] Refusal),
    #[error("its body is not a change of an order")]
    Body(#[from] serde_json::Error),
}

/// What a run leaves for the next one.
#[derive(Deserialize, Serialize)]
struct Settings {
    port: u16,
    secret: String,
}

impl Receiver {
    /// Listens at the address of earlier runs, or at a new one.
    ///
    /// # Errors
    /// The state directory fails, or no port is to be had.
    pub(crate) async fn open(
        state: &StateDir,
        clock: Clock,
        random: &Random,
        shown: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let known = state.read::<Settings>(FILE)?;
        let unusable = |error| {
            let what = format!("the secret in {FILE} is damaged (--fresh makes a new one)");
            Failure::because(what, &error)
        };
        let secret = match &known {
            Some(known) => Secret::parse(&known.secret),
            None => Secret::new(&random.bytes::<32>()),
        };
        let secret = secret.map_err(unusable)?;
        let port = take_port(known.map(|known| known.port), random).await?;
        let settings = Settings {
            port: port.number(),
            secret: secret.to_text().to_string(),
        };
        state.write(FILE, &settings)?;
        let url = format!("{}{PATH}", port.url());
        let inbox = Arc::new(Inbox {
            secret,
            clock,
            shown,
            kept: Mutex::default(),
        });
        let app = Router::new()
            .route(PATH, post(take).get(list))
            .route(INBOX_PATH, get(show))
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .with_state(Arc::clone(&inbox));
        let serving = port.serve(app, "the receiver of webhooks");
        Ok(Self {
            url,
            inbox,
            serving,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Has changes of the client's orders posted here, as `cargo client setup webhook` does, unless
    /// they are already.
    ///
    /// # Errors
    /// DynamoDB or KMS does not do its part.
    pub(crate) async fn register(&self, keys: &KeysTable) -> Result<(), Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::because("the webhook was not registered", error)
        };
        let known = keys
            .webhook(CLIENT_ID)
            .await
            .map_err(|error| failed(&error))?;
        if known.is_some_and(|webhook| self.is_registered_as(&webhook)) {
            return Ok(());
        }
        let url = WebhookUrl::parse(&self.url, Reach::PublicAndLoopback)
            .map_err(|error| failed(&error))?;
        keys.put_webhook(CLIENT_ID, &url, &self.inbox.secret)
            .await
            .map_err(|error| failed(&error))
    }

    fn is_registered_as(&self, webhook: &Webhook) -> bool {
        match webhook {
            Webhook::Active(endpoint) => {
                let signs = endpoint.secrets.first().map(Secret::as_bytes);
                endpoint.url.as_str() == self.url && signs == Some(self.inbox.secret.as_bytes())
            }
            Webhook::Disabled { .. } => false,
        }
    }

    /// The newest webhook about the order's change to this state.
    pub(crate) fn delivery_of(&self, order_no: &str, state: &str) -> Option<Delivery> {
        let kept = self.inbox.kept();
        let is_wanted = |webhook: &&Delivery| {
            let change = &webhook.change;
            change.order_no == order_no && change.subject == "order" && change.to == state
        };
        kept.webhooks.iter().find(is_wanted).cloned()
    }

    /// How many came.
    pub(crate) fn counts(&self) -> Counts {
        self.inbox.kept().counts.clone()
    }

    /// Takes no more.
    pub(crate) async fn stop(self) {
        self.serving.stop().await;
    }
}

/// The port of the last run. If that is in use, or there was no last run, one of [`PORTS`].
async fn take_port(known: Option<u16>, random: &Random) -> Result<Port, Failure> {
    if let Some(number) = known
        && let Ok(port) = Port::bind(number).await
    {
        return Ok(port);
    }
    let (first, count) = PORTS;
    for _ in 0..PORT_TRIES {
        let drawn = u16::from_be_bytes(random.bytes::<2>());
        if let Ok(port) = Port::bind(first.saturating_add(drawn % count)).await {
            return Ok(port);
        }
    }
    Err(Failure::new(format!(
        "no port from {first} on is free for the receiver of webhooks"
    )))
}

async fn take(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match inbox.take(&headers, &body) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(why) => {
            inbox.refuse(&why);
            StatusCode::UNAUTHORIZED
        }
    }
}

/// What came, the newest first.
async fn list(State(inbox): State<Arc<Inbox>>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|types| types.contains("text/html")) {
        return ([(CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE)).into_response();
    }
    Json(&inbox.kept().webhooks).into_response()
}

/// The same, with how many were believed and how many were not.
async fn show(State(inbox): State<Arc<Inbox>>) -> Response {
    Json(&*inbox.kept()).into_response()
}

impl Inbox {
    fn take(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), WebhookRejected> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let received = Received::read(header)?;
        let secrets = std::slice::from_ref(&self.secret);
        verify(&received, body, secrets, self.clock.now().0)?;
        let mut event: Value = serde_json::from_slice(body)?;
        let change = event.get_mut("data").map(Value::take).unwrap_or_default();
        self.keep(received.id, serde_json::from_value(change)?);
        Ok(())
    }

    fn keep(&self, webhook_id: &str, change: OrderEvent) {
        let mut kept = self.kept();
        kept.counts.verified = kept.counts.verified.saturating_add(1);
        let known = kept
            .webhooks
            .iter_mut()
            .find(|known| known.webhook_id == webhook_id);
        let times = match known {
            Some(known) => {
                known.times = known.times.saturating_add(1);
                known.times
            }
            None => {
                kept.webhooks.truncate(KEPT_MAX.saturating_sub(1));
                kept.webhooks.push_front(Delivery {
                    webhook_id: webhook_id.to_owned(),
                    at_ms: self.clock.now_ms(),
                    times: 1,
                    change: change.clone(),
                });
                1
            }
        };
        drop(kept);
        let from = change.from.as_deref().unwrap_or("nothing");
        let again = match times {
            1 => String::new(),
            times => format!(", {times} times by now"),
        };
        self.print(&format!(
            "{} {}: {from} -> {} (webhook-id {webhook_id}, verified{again})",
            change.subject, change.subject_id, change.to
        ));
    }

    fn refuse(&self, why: &WebhookRejected) {
        let mut kept = self.kept();
        kept.counts.refused = kept.counts.refused.saturating_add(1);
        kept.counts.last_refusal = Some(why.to_string());
        drop(kept);
        self.print(&format!("refused: {why}"));
    }

    fn print(&self, line: &str) {
        if self.shown.load(Ordering::Relaxed) {
            eprintln!("webhook: {line}");
        }
    }

    fn kept(&self) -> MutexGuard<'_, ReceivedWebhooks> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
