//! Log lines for systems outside AWS: what CloudWatch Logs delivers to a function, and the requests
//! and answers of Sentry, which gets errors, and of Loki, which gets every line. Bytes, secrets and
//! a time in, values out: no socket, no clock, no store.
//!
//! | | Sentry | Loki |
//! |---|---|---|
//! | request | `POST /api/PROJECT/envelope/` | `POST /loki/api/v1/push` |
//! | in one request | one event: a second one is refused | as many lines as fit |
//! | what comes twice | is one event, by `event_id` | is one line, by labels, time and text |
//! | size | 1 MB an event, unpacked | 256 KB a line, 4 MB a request, by default |
//! | too much | 429, `X-Sentry-Rate-Limits`, `Retry-After` | 429 |
//!
//! By "Envelopes", "Envelope Items" and "Rate Limiting" of Sentry's developer documentation, "Loki
//! HTTP API" of Grafana's, and "Subscriptions" of the CloudWatch Logs user guide.

mod answer;
mod bad_secret;
mod line;
mod loki;
mod secret;
mod sentry;
mod subscription;

use zeroize::Zeroizing;

pub use answer::{Refusal, Taken, read_answer};
pub use bad_secret::BadSecret;
pub use line::{Line, Report};
pub use loki::{Login, Loki, Push, pushes};
pub use secret::{Kind, Sink};
pub use sentry::{Dsn, Selection, envelope, select};
pub use subscription::{BadDelivery, Delivery, LogBatch, LogEvent, PLAIN_MAX, pack, read};

/// How long one call to a sink may take, in milliseconds.
pub const CALL_MAX_MS: i64 = 5_000;

/// A POST to a sink. Its headers are secrets.
pub struct Request {
    /// Where to.
    pub address: String,
    pub content_type: &'static str,
    /// Beside `content-type`.
    pub headers: Vec<(&'static str, Zeroizing<String>)>,
    pub body: String,
}

/// The longest beginning of a text that has so many bytes at most.
fn beginning(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}
