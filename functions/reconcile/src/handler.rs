//! Event -> the minute's sweep, a check of the certificates, or a piece of work on a day's
//! reconciliation.

use flows::{
    origin::Origin,
    problem::ErrorChain,
    sqs_event::{self, SqsBatch, SqsRecord, end_message_span, work_off},
    trace::Trace,
    verdict::Verdict,
};
use futures_util::future::LocalBoxFuture;
use payments::{
    model::{bill_date::BillDate, journal::Cause},
    reconcile::{day_runs::RunRequest, lateness::late_at},
};
use runtime::{
    spans::{Span, SpanContext, SpanKind},
    telemetry::emf::end_of_run,
};
use serde::{Deserialize, Deserializer, Serialize};
use stores::{order_table::TableError, queues::ReconcileWork};
use strict_json::{Null, Object, Wrong};
use tracing::{error, info, warn};
use wechatpay::{UnixSeconds, time::parse_rfc3339};

use crate::{
    app::App,
    apply::Applier,
    certificates::{self, RefreshOutcome},
    day::Day,
    error::DayError,
    funds::Funds,
    metrics,
    sweep::{self, report::SweepReport},
    track_refunds,
};

/// What the function is called with.
#[derive(Clone, Debug)]
pub enum Input {
    /// Messages of its work queue.
    Work(SqsBatch),
    /// A schedule's.
    Task(Task),
}

/// What the schedule asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Check everything that is due.
    Sweep,
    /// Check whether WeChat Pay's certificates must be fetched, and count what waits for an
    /// operator.
    Certificates,
}

/// `{"task": "sweep"}`, or a batch of messages.
impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = strict_json::Value::deserialize(deserializer)?;
        let read = |event| {
            let mut event = Object::of(event, Null::Absent)?;
            Ok::<_, Wrong>(match event.take_optional("task")? {
                Some(task) => Self::Task(task),
                None => Self::Work(event.rest()?),
            })
        };
        read(event).map_err(serde::de::Error::custom)
    }
}

/// What it answers.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// Which messages come again.
    Work(sqs_event::BatchResponse),
    /// How far the sweep got.
    Sweep(SweepReport),
    Certificates(RefreshOutcome),
}

/// A sweep ends before the next minute's begins, though the function may run for longer than that.
const SWEEP_MS: i64 = 58_000;

/// No work on a day is begun with less time left than this, in milliseconds.
const BEGIN_BEFORE_DEADLINE_MS: i64 = 30_000;

/// When a bill that is not there yet is asked for again (shared/wechatpay/PROTOCOL.md, 8.2), and a
/// broken one, in seconds.
const BILL_AGAIN_S: i32 = 1_800;

/// When something that passes is tried again after the first try, the second and so on, in seconds.
/// The queue gives a message up after 50 tries: most of a day.
const AGAIN_S: [i32; 4] = [120, 300, 900, 1_800];

/// Does what the event asks for. `deadline_ms` is when Lambda stops this invocation (Unix
/// milliseconds).
///
/// # Errors
/// When a sweep could read no part of its index.
pub async fn run(app: &App, event: Input, deadline_ms: i64) -> Result<Output, TableError> {
    // Without its type: the compiler nests what it has to know of a future only so deep.
    let work: LocalBoxFuture<'_, _> = Box::pin(work(app, event, deadline_ms));
    let output = work.await;
    end_of_run();
    output
}

async fn work(app: &App, event: Input, deadline_ms: i64) -> Result<Output, TableError> {
    match event {
        Input::Task(Task::Sweep) => {
            let ends_ms = deadline_ms.min(app.clock.now_ms().saturating_add(SWEEP_MS));
            let tracking = Box::pin(track_refunds::refunds(app));
            in_span(app, "track refunds", tracking).await;
            Ok(Output::Sweep(sweep::sweep(app, ends_ms).await?))
        }
        Input::Task(Task::Certificates) => {
            let work = Box::pin(async {
                count_parked(app).await;
                certificates::refresh(app).await
            });
            let outcome = in_span(app, "certificates", work).await;
            Ok(Output::Certificates(outcome))
        }
        Input::Work(batch) => {
            let clock = &app.clock;
            let span = batch.span(clock, SqsRecord::follows);
            let batch_span = span.context();
            let work = async |record: &SqsRecord| {
                let message = WorkMessage { app, record };
                message.recorded(batch_span).await
            };
            let answer = work_off(batch, clock, deadline_ms, BEGIN_BEFORE_DEADLINE_MS, 1, work);
            let answer = span.around(answer).await;
            span.end(clock.now_ms());
            Ok(Output::Work(answer))
        }
    }
}

/// Work that a schedule asks for, and that no trace is about, with its span.
async fn in_span<T>(app: &App, name: &'static str, work: LocalBoxFuture<'_, T>) -> T {
    let span = Span::root(SpanKind::Internal, || name.to_owned(), app.clock.now_ms());
    let output = span.around(work).await;
    span.end(app.clock.now_ms());
    output
}

/// Reports how many notices wait for an operator. A notice is logged once when it is parked; this
/// number is reported for as long as it waits.
async fn count_parked(app: &App) {
    match app.notices.count_parked().await {
        Ok(parked) => metrics::parked(parked),
        Err(error) if error.is_transient() => {
            warn!(error = %ErrorChain(&error), "it is not known how many notices wait for a person");
        }
        // The alarm of parked notices would stay as it is for good.
        Err(error) => error!(
            error = %ErrorChain(&error),
            what_to_do = "repair what the error names: until then the alarm notices-parked keeps its state",
            "notices that wait for a person cannot be counted"
        ),
    }
}

/// The day before the schedule's time in the message, however long the message was in a queue. If
/// the message has no such time (local engine), the day before the message was sent.
fn yesterday(scheduled_at_ms: i64) -> BillDate {
    BillDate::of(UnixSeconds(scheduled_at_ms.div_euclid(1000))).plus_days(-1)
}

/// When a missing bill is requested again: also at the moment at which it becomes late, so that
/// operators are notified then.
fn bill_again_s(date: BillDate, now: UnixSeconds) -> i32 {
    let late_in_s = late_at(date).since(now);
    let late_in_s = i32::try_from(late_in_s).unwrap_or(BILL_AGAIN_S);
    if late_in_s > 0 {
        late_in_s.min(BILL_AGAIN_S)
    } else {
        BILL_AGAIN_S
    }
}

/// A message of the work queue.
struct WorkMessage<'a> {
    app: &'a App,
    record: &'a SqsRecord,
}

impl WorkMessage<'_> {
    /// One message, with its span.
    async fn recorded(&self, batch: Option<SpanContext>) -> Verdict {
        let Self { app, record } = *self;
        let (trace, began_at_ms) = (record.trace(&app.random), app.clock.now_ms());
        let span = record.span(&trace, batch, began_at_ms);
        let verdict = span
            .around(Box::pin(self.done(&trace, began_at_ms, &span)))
            .await;
        end_message_span(span, verdict, app.clock.now_ms());
        verdict
    }

    /// A side of a day, a part of one, or a decision that must be executed.
    async fn done(&self, trace: &Trace, began_at_ms: i64, span: &Span) -> Verdict {
        let Self { app, record } = *self;
        let done = match ReconcileWork::parse(&record.body) {
            Ok(ReconcileWork::DailyV1 { scheduled_at }) => {
                let scheduled_at = scheduled_at.and_then(|text| parse_rfc3339(&text).ok());
                let scheduled_at_ms = scheduled_at.map(|at| at.0.saturating_mul(1000));
                let requested_at_ms = self.requested_at_ms(scheduled_at_ms);
                let request = RunRequest {
                    date: yesterday(requested_at_ms),
                    run_id: record.message_id.clone(),
                    dry_run: !app.repairs,
                    requested_at_ms,
                    terms: app.fund_terms.clone(),
                };
                Day::reconcile(app, &request, trace).await
            }
            Ok(ReconcileWork::DayV1 {
                date,
                dry_run,
                run_id,
                requested_at_ms,
            }) => {
                let request = RunRequest {
                    date,
                    run_id,
                    dry_run,
                    requested_at_ms: self.requested_at_ms(requested_at_ms),
                    terms: app.fund_terms.clone(),
                };
                Day::reconcile(app, &request, trace).await
            }
            Ok(ReconcileWork::PartV1 { date, run_id, part }) => {
                Day::reconcile_part(app, date, &run_id, part, trace).await
            }
            Ok(ReconcileWork::FundsV1 { date, run_id }) => {
                Funds::reconcile(app, date, &run_id, trace).await
            }
            Ok(ReconcileWork::FundsPartV1 { date, run_id, part }) => {
                Funds::reconcile_part(app, date, &run_id, part).await
            }
            Ok(ReconcileWork::ApplyV1 { date, id }) => {
                let cause = Cause::Reconciliation(record.message_id.clone());
                let origin = Origin::of_message(cause, trace, record, began_at_ms);
                span.identify(origin.trace.context());
                Applier::new(app, &origin).approved(date, &id).await
            }
            Err(error) => {
                error!(
                    message_id = record.message_id,
                    length = record.body.len(),
                    "unknown message"
                );
                return Verdict::needs_operator(&error);
            }
        };
        match done {
            Ok(()) => Verdict::Done,
            Err(error) => self.verdict(&error).await,
        }
    }

    /// Time of a run's request in Unix milliseconds: from its message, otherwise the message's send
    /// time. A time in the future is not accepted: it would block all other runs of the day.
    fn requested_at_ms(&self, in_event: Option<i64>) -> i64 {
        let now_ms = self.app.clock.now_ms();
        in_event
            .or(self.record.sent_at_ms())
            .unwrap_or(now_ms)
            .min(now_ms)
    }

    /// What happens to a message whose work did not finish. By then the day's record has what an
    /// operator must know.
    async fn verdict(&self, error: &DayError) -> Verdict {
        let Self { app, record } = *self;
        let text = ErrorChain(error).to_string();
        let again_s = match error {
            DayError::NotReady { date, run_date } => {
                let now = app.clock.now();
                metrics::bill_awaited(*date, *run_date, now);
                bill_again_s(*run_date, now)
            }
            DayError::Superseded => {
                info!("another run has taken the day over");
                return Verdict::Done;
            }
            DayError::BillAgain(_) => {
                warn!(error = text, "the bill is of no use: it is fetched again");
                BILL_AGAIN_S
            }
            DayError::Bill(_) | DayError::Damaged(_) => {
                error!(error = text, "the day needs a person");
                return Verdict::Done;
            }
            DayError::Passing(_) => {
                warn!(error = text, "the day comes again");
                let tries = usize::try_from(record.receive_count()).unwrap_or(usize::MAX);
                let [.., longest] = AGAIN_S;
                *AGAIN_S.get(tries.saturating_sub(1)).unwrap_or(&longest)
            }
        };
        if let Err(error) = app.work.come_back_in(&record.receipt_handle, again_s).await {
            warn!(message_id = record.message_id, %error, "the pause before the next try could not be set");
        }
        Verdict::Retry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_is_asked_for_each_half_hour_and_at_the_moment_from_which_on_it_is_late() {
        let date = BillDate::parse("2026-08-01").unwrap();
        let at = |hour: i64, minute: i64| UnixSeconds(date.ends_at().0 + hour * 3600 + minute * 60);
        for (now, again_s) in [
            (at(10, 30), 1800),
            (at(12, 30), 1800),
            (at(12, 50), 600),
            (at(13, 0), 1800),
            (at(40, 0), 1800),
        ] {
            assert_eq!(bill_again_s(date, now), again_s, "{now:?}");
        }
    }

    #[test]
    fn an_event_is_an_object_that_names_a_task_or_holds_messages() {
        let read = |text: &str| serde_json::from_str::<Input>(text);
        for (text, task) in [
            (r#"{"task":"sweep"}"#, Task::Sweep),
            (r#"{"task":"certificates"}"#, Task::Certificates),
        ] {
            assert!(
                matches!(read(text), Ok(Input::Task(read)) if read == task),
                "{text}"
            );
        }
        let batch =
            r#"{"Records":[{"messageId":"m","receiptHandle":"r","body":"b","awsRegion":"x"}]}"#;
        assert!(matches!(read(batch), Ok(Input::Work(batch)) if batch.records.len() == 1));
        for text in [
            r#"["sweep"]"#,
            r#"{"task":["sweep"]}"#,
            r#"{"task":"other"}"#,
            r#"{"Records":[["m","r","b"]]}"#,
            "[[]]",
            "{}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
