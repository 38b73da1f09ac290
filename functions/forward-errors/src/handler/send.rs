//! The lines of one delivery to one sink.
//!
//! Each request is sent once. Where a sink fails after it had some of the lines, the rest is put
//! away: all of them again would end at the same place, or take longer than a run may.

use flows::problem::ErrorChain;
use futures_util::future::join_all;
use log_sinks::{
    Dsn, Kind, Line, LogBatch, Loki, Refusal, Request, Sink, Taken, envelope, pushes, select,
};
use tracing::{info, warn};
use webhook_client::SinkError;

use super::REQUEST_MS;
use crate::app::App;

/// So many events are on their way to Sentry at once: each is a request of its own.
const AT_ONCE: usize = 4;

/// What became of the lines.
pub(super) enum Sent {
    /// The sink has them, but for those that are put away: their places, and why.
    Done { put_away: Vec<(usize, String)> },
    /// A failure that may pass, before the sink had any of them.
    ComesAgain { why: String },
}

/// What came of the requests so far.
#[derive(Default)]
struct Tally {
    is_answered: bool,
    put_away: Vec<(usize, String)>,
    /// Why the sink is asked no more.
    failed: Option<String>,
}

impl Tally {
    fn take(&mut self, places: &[usize], outcome: Outcome) {
        match outcome {
            Outcome::Taken => self.is_answered = true,
            Outcome::Refused(why) => {
                self.is_answered = true;
                self.put_away_all(places, &why);
            }
            Outcome::ComesAgain(why) => {
                self.put_away_all(places, &why);
                self.failed.get_or_insert(why);
            }
        }
    }

    /// Lines of which no request was made any more.
    fn not_sent(&mut self, places: &[usize]) {
        if let Some(why) = self.failed.clone() {
            self.put_away_all(places, &why);
        }
    }

    fn put_away_all(&mut self, places: &[usize], why: &str) {
        let each = places.iter().map(|place| (*place, why.to_owned()));
        self.put_away.extend(each);
    }

    fn sent(self) -> Sent {
        match self.failed {
            Some(why) if !self.is_answered => Sent::ComesAgain { why },
            Some(_) | None => Sent::Done {
                put_away: self.put_away,
            },
        }
    }
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
    let mut tally = Tally::default();
    for some in selection.chosen.chunks(AT_ONCE) {
        // The others would meet the same.
        if tally.failed.is_some() {
            tally.not_sent(some);
            continue;
        }
        let some = some.iter().filter_map(|place| {
            let line = lines.get(*place)?;
            let report = line.report()?;
            Some((*place, envelope(dsn, &app.stack, batch, line, report)))
        });
        let sent = some.map(async |(place, request)| {
            (place, one(app, Kind::Sentry, request, deadline_ms).await)
        });
        for (place, outcome) in join_all(sent).await {
            tally.take(&[place], outcome);
        }
    }
    if selection.left_out > 0 {
        info!(
            count = selection.left_out,
            sink = Kind::Sentry.name(),
            "of many errors that are alike some are forwarded"
        );
    }
    tally.sent()
}

async fn to_loki(app: &App, loki: &Loki, lines: &[Line<'_>], deadline_ms: i64) -> Sent {
    let mut tally = Tally::default();
    // One after the other: Loki takes the lines of a stream in their sequence.
    for push in pushes(loki, &app.stack, lines) {
        if tally.failed.is_some() {
            tally.not_sent(&push.places);
            continue;
        }
        let outcome = one(app, Kind::Loki, push.request, deadline_ms).await;
        tally.take(&push.places, outcome);
    }
    tally.sent()
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
                // From the queue they would only be older: the log group keeps them.
                SinkError::Refused(Refusal::TooOld { lines, .. }) => {
                    warn!(
                        count = lines,
                        error = why,
                        sink = kind.name(),
                        "a log sink takes no lines that are so old: they are left out"
                    );
                    Outcome::Taken
                }
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
