//! Batch -> what nobody was told yet, claimed -> one message for each severity -> the first channel
//! that takes it, or all of it again from the queue.
//!
//! What is told is told once: a claim in the table, then the call, then the record. If this
//! function dies between the call and the record, or a channel's answer is lost, it is told once
//! more; between any other two calls it is not. A page that nobody gets is worse than two.

mod tell;

use std::collections::BTreeMap;

use flows::{
    problem::ErrorChain,
    sqs_event::{BatchItemFailure, BatchResponse, SqsBatch, SqsRecord},
    verdict::Verdict,
};
use futures_util::future::join_all;
use operator_channels::{CALL_MAX_MS, Notification, Severity, next_try_after_s};
use runtime::telemetry::emf::end_of_run;
use stores::{
    keys_table::{KeysError, channels::Channel},
    notifications::Claim,
};
use tracing::{error, info, warn};
use wechatpay::UnixSeconds;

use crate::app::App;
use tell::{NotTold, tell};

/// How many channels are tried for one message within an invocation.
pub const TRIED_MAX: usize = 3;

/// How long one call to AWS may take with its repeats, in milliseconds
/// (`runtime::aws::CallLimits::PROMPT`).
const AWS_CALL_MS: i64 = 1_500;

/// How long one channel may take, in milliseconds: its secret is unsealed; its log read and
/// written, twice if another sandbox was faster; the call itself; and where it said that there were
/// too many messages its log read and written once more.
pub const CHANNEL_MS: i64 = 7 * AWS_CALL_MS + CALL_MAX_MS;

/// Before the first channel, in milliseconds: the channels are read, and what is to be told is
/// claimed, side by side.
pub const BEFORE_MS: i64 = 2 * AWS_CALL_MS;

/// After the last one: what came of it is recorded, and messages are hidden, side by side.
pub const AFTERWARDS_MS: i64 = 2 * AWS_CALL_MS;

/// How long a claim holds, in seconds: longer than an invocation, so that no other tells the same
/// meanwhile, and shorter than the queue hides a message whose invocation died.
pub const LEASE_S: i64 = 75;

/// One thing to tell, with all messages of the batch that brought it.
struct Work<'a> {
    notification: Notification,
    records: Vec<&'a SqsRecord>,
}

/// When a message comes again.
enum Next {
    /// After the pause of its tries.
    ByTries,
    /// Not before then, which is no failure.
    At(UnixSeconds),
}

/// Processes a batch. `deadline_ms` is when Lambda stops this invocation (Unix milliseconds).
pub async fn process(app: &App, batch: SqsBatch, deadline_ms: i64) -> BatchResponse {
    let span = batch.span(&app.clock, SqsRecord::follows);
    let answer = span.around(tell_all(app, &batch, deadline_ms)).await;
    span.end(app.clock.now_ms());
    end_of_run();
    answer
}

async fn tell_all(app: &App, batch: &SqsBatch, deadline_ms: i64) -> BatchResponse {
    let mut again: Vec<(&SqsRecord, Next)> = Vec::new();
    let mut found: BTreeMap<String, Work<'_>> = BTreeMap::new();
    for record in &batch.records {
        match Notification::read(&record.body) {
            Ok(notification) => found
                .entry(notification.id.clone())
                .or_insert_with(|| Work {
                    notification,
                    records: Vec::new(),
                })
                .records
                .push(record),
            Err(error) => {
                error!(
                    message_id = record.message_id,
                    length = record.body.len(),
                    "unknown message"
                );
                // It comes again, and then lies in the dead-letter queue as it came.
                Verdict::needs_operator(&error);
                again.push((record, Next::ByTries));
            }
        }
    }
    let channels = app.keys.channels().await;
    let holder = app.random.id();
    let claimed = claim(app, found.into_values().collect(), &holder, &mut again).await;
    for severity in Severity::ALL {
        let is_of = |work: &&Work<'_>| work.notification.severity == severity;
        let these: Vec<&Work<'_>> = claimed.iter().filter(is_of).collect();
        if these.is_empty() {
            continue;
        }
        tell_of(
            app,
            &channels,
            severity,
            &these,
            &holder,
            deadline_ms,
            &mut again,
        )
        .await;
    }
    hide(app, &again).await;
    BatchResponse {
        batch_item_failures: again
            .into_iter()
            .map(|(record, _)| BatchItemFailure {
                item_identifier: record.message_id.clone(),
            })
            .collect(),
    }
}

/// Claims what nobody was told yet. What another invocation tells comes again, in case that dies.
async fn claim<'a>(
    app: &App,
    found: Vec<Work<'a>>,
    holder: &str,
    again: &mut Vec<(&'a SqsRecord, Next)>,
) -> Vec<Work<'a>> {
    let now = app.clock.now();
    let claims = found.iter().map(|work| {
        let id = &work.notification.id;
        app.notifications.claim(id, holder, LEASE_S, now)
    });
    let claims = join_all(claims).await;
    let mut ours = Vec::new();
    for (work, claim) in found.into_iter().zip(claims) {
        let name = work.notification.name.as_str();
        match claim {
            Ok(Claim::Ours) => ours.push(work),
            Ok(Claim::Sent) => info!(name, "people on call were told already"),
            Ok(Claim::Theirs { until }) => {
                let until = UnixSeconds(until.0.saturating_add(1));
                again.extend(
                    work.records
                        .into_iter()
                        .map(|record| (record, Next::At(until))),
                );
            }
            Err(error) => {
                warn!(name, error = %ErrorChain(&error), "a notification could not be claimed");
                again.extend(
                    work.records
                        .into_iter()
                        .map(|record| (record, Next::ByTries)),
                );
            }
        }
    }
    ours
}

/// Tells people of all alarms of a severity in one message.
async fn tell_of<'a>(
    app: &App,
    channels: &Result<Vec<Channel>, KeysError>,
    severity: Severity,
    these: &[&Work<'a>],
    holder: &str,
    deadline_ms: i64,
    again: &mut Vec<(&'a SqsRecord, Next)>,
) {
    let about: Vec<&Notification> = these.iter().map(|work| &work.notification).collect();
    let told = match channels {
        Ok(channels) => tell(app, channels, severity, &about, deadline_ms).await,
        Err(error) => Err(NotTold::unread(error)),
    };
    let ids = about.iter().map(|notification| notification.id.as_str());
    let not_told = match told {
        Ok(channel) => {
            let now = app.clock.now();
            let recorded = ids.map(|id| app.notifications.sent(id, &channel, now));
            for error in join_all(recorded).await.into_iter().filter_map(Result::err) {
                warn!(
                    channel,
                    error = %ErrorChain(&error),
                    "what was told is not on record: if its message comes again, it is told again"
                );
            }
            return;
        }
        Err(not_told) => not_told,
    };
    let records: Vec<&SqsRecord> = these
        .iter()
        .flat_map(|work| work.records.iter().copied())
        .collect();
    let attempt = records.iter().map(|record| record.receive_count()).max();
    let attempt = attempt.unwrap_or_default();
    let alarms: Vec<&str> = about.iter().map(|each| each.name.as_str()).collect();
    let alarms = alarms.join(", ");
    let severity = severity.name();
    // A failure that has passed at the second try needs nobody, and neither does a full channel.
    if attempt > 1 && !not_told.is_only_full() {
        error!(
            OperatorsNotTold = 1,
            alarms,
            severity,
            attempt,
            reason = %not_told,
            what_to_do = "look at the alarms in CloudWatch now; then repair the channels (`cargo client setup channel test`, infra/runbooks/channels.md)",
            "people on call were not told"
        );
    } else {
        warn!(alarms, severity, attempt, reason = %not_told, "nobody was told yet: it comes again");
    }
    for error in join_all(ids.map(|id| app.notifications.release(id, holder)))
        .await
        .into_iter()
        .filter_map(Result::err)
    {
        warn!(error = %ErrorChain(&error), "a claim was not given back; it ends by itself");
    }
    let free_at_ms = not_told.free_at_ms;
    again.extend(records.into_iter().map(|record| {
        let next = match free_at_ms {
            Some(at_ms) => Next::At(UnixSeconds(at_ms.div_euclid(1_000).saturating_add(1))),
            None => Next::ByTries,
        };
        (record, next)
    }));
}

/// Hides messages until they are to be tried again. A channel that is free sooner than the pause of
/// its tries is over is not waited for longer.
async fn hide(app: &App, again: &[(&SqsRecord, Next)]) {
    let now = app.clock.now();
    let hidden = again.iter().map(|(record, next)| {
        let by_tries_s = next_try_after_s(record.receive_count());
        let after_s = match next {
            Next::ByTries => by_tries_s,
            Next::At(at) => i32::try_from(at.since(now).max(1)).unwrap_or(by_tries_s),
        };
        app.queue.come_back_in(&record.receipt_handle, after_s)
    });
    for error in join_all(hidden).await.into_iter().filter_map(Result::err) {
        warn!(
            error = %ErrorChain(&error),
            "the message was not hidden; it comes again after the queue's own time"
        );
    }
}
