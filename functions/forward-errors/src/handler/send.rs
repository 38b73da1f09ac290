//! The lines of one delivery to one sink.

use flows::problem::ErrorChain;
use futures_util::future::join_all;
use log_sinks::{
    Dsn, Kind, Line, LogBatch, Loki, Refusal, Request, Sink, Taken, envelope, pushes, select,
};
use tracing::info;
use webhook_client::SinkError;

use super::REQUEST_MS;
use crate::app::App;

/// So many events are on their way to Sentry at once: each is a request of its own.
const AT_ONCE: usize = 4;

/// What became of the lines.
pub(super) enum Sent {
    /// The sink has them, but for those that it will never take: their places, and why.
    Done { refused: Vec<(usize, String)> },
    /// A failure that may pass.
    ComesAgain { why: String },
}

/// What became of one request.
enum Outcome {
    Taken,
    Refused(String),
    ComesAgain(String),
}

/// Sends what the sink wants of a delivery.
pub(super) async fn send(
    app: &App,
    sink: &Sink,
    batch: &LogBatch,
    lines: &[Line<'_>],
    deadline_ms: i64,
) -> Sent {
    match sink {
        Sink::Sentry(dsn) => to_sentry(app, dsn, batch, lines, deadline_ms).await,
        Sink::Loki(loki) => to_loki(app, loki, lines, deadline_ms).await,
    }
}

async fn to_sentry(
    app: &App,
    dsn: &Dsn,
    batch: &LogBatch,
    lines: &[Line<'_>],
    deadline_ms: i64,
) -> Sent {
    let selection = select(lines);
    let mut refused = Vec::new();
    for some in selection.chosen.chunks(AT_ONCE) {
        let some = some.iter().filter_map(|place| {
            let line = lines.get(*place)?;
            let report = line.report()?;
            Some((*place, envelope(dsn, &app.stack, batch, line, report)))
        });
        let sent = some.map(async |(place, request)| {
            (place, one(app, Kind::Sentry, request, deadline_ms).await)
        });
        for (place, outcome) in join_all(sent).await {
            match outcome {
                Outcome::Taken => {}
                Outcome::Refused(why) => refused.push((place, why)),
                // The others would meet the same.
                Outcome::ComesAgain(why) => return Sent::ComesAgain { why },
            }
        }
    }
    if selection.left_out > 0 {
        info!(
            count = selection.left_out,
            sink = Kind::Sentry.name(),
            "of many errors that are alike some are forwarded"
        );
    }
    Sent::Done { refused }
}

async fn to_loki(app: &App, loki: &Loki, lines: &[Line<'_>], deadline_ms: i64) -> Sent {
    let mut refused = Vec::new();
    // One after the other: Loki takes the lines of a stream in their sequence.
    for push in pushes(loki, &app.stack, lines) {
        match one(app, Kind::Loki, push.request, deadline_ms).await {
            Outcome::Taken => {}
            Outcome::Refused(why) => {
                refused.extend(push.places.into_iter().map(|place| (place, why.clone())));
            }
            Outcome::ComesAgain(why) => return Sent::ComesAgain { why },
        }
    }
    Sent::Done { refused }
}

/// Sends one request, if the sink may be asked now and there is time for its answer.
async fn one(app: &App, kind: Kind, request: Request, deadline_ms: i64) -> Outcome {
    let now_s = app.clock.now().0;
    let rests_until_s = app.rests.until_s(kind);
    if now_s < rests_until_s {
        let left_s = rests_until_s.saturating_sub(now_s);
        return Outcome::ComesAgain(format!("it takes nothing for {left_s} s"));
    }
    if deadline_ms.saturating_sub(app.clock.now_ms()) < REQUEST_MS {
        return Outcome::ComesAgain("no time was left for another request".to_owned());
    }
    match app.http.forward(kind, request).await {
        Ok(Taken { rests_s }) => {
            if let Some(rests_s) = rests_s {
                app.rests.rest(kind, now_s.saturating_add(rests_s));
            }
            Outcome::Taken
        }
        Err(error) => {
            let why = ErrorChain(&error).to_string();
            match error {
                SinkError::Refused(Refusal::ForGood { .. }) | SinkError::Url(_) => {
                    Outcome::Refused(why)
                }
                SinkError::Refused(Refusal::TooMany { rests_s }) => {
                    app.rests.rest(kind, now_s.saturating_add(rests_s));
                    Outcome::ComesAgain(why)
                }
                SinkError::Refused(Refusal::Passing { .. }) | SinkError::NoAnswer(_) => {
                    Outcome::ComesAgain(why)
                }
            }
        }
    }
}
