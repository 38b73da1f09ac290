//! A day's reconciliation: load our books of the day into memory -> stream the trade bill past
//! them, in one pass from WeChat Pay into the evidence bucket -> confirm each candidate -> store
//! differences -> repair what can be repaired -> the trade side is done. Then a separate message
//! starts the fund side ([`crate::funds`]), which never changes the trade side.
//!
//! Every run of a day writes the same data, so a day may be run twice, by two workers at once, or
//! be killed anywhere and run again. A day whose books do not fit into one run's memory is split by
//! order number into parts that go through the queue; the last part to end closes the trade side.

use std::collections::BTreeSet;

use adapters::queues::ReconcileWork;
use flows::{origin::Origin, problem::ErrorChain, trace::Trace};
use matching::{books::DayBooks, totals::Gaps};
use payments::{
    model::{
        bill_date::{BillDate, BillName},
        journal::Cause,
    },
    reconcile::{
        classify::NEAR_MIDNIGHT_S,
        day_runs::RunRequest,
        difference::RunSide,
        run::{BillFacts, PartDone, Run, RunState},
    },
};
use tracing::{info, warn};

use crate::{
    app::App,
    bills::BillReader,
    confirm::Confirmer,
    day_index::{DayIndex, Loaded},
    day_part::DayPart,
    differences::{self, DifferenceStore},
    error::DayError,
    finding::Findings,
    last_minutes::LastMinutes,
    metrics,
    record::{self, RunRecord},
    repair,
    trade_identity::{kind_of, number_of},
};

/// Reconciles a day, or starts its parts if it must be split.
///
/// # Errors
/// [`DayError`]. The day's record says so too.
pub(crate) async fn reconcile(
    app: &App,
    request: &RunRequest,
    trace: &Trace,
) -> Result<(), DayError> {
    let run = record::begin(app, request).await?;
    if run.state == RunState::Done {
        info!(date = %run.date, run_id = run.id, "the day is done: the message came twice");
        // The worker that closed it may have crashed before it reported that or started the fund
        // side.
        return close_if_whole(app, &run, trace).await;
    }
    info!(date = %run.date, run_id = run.id, dry_run = run.dry_run, "reconciling the day");
    let done = whole(app, &run, trace).await;
    RunRecord::of(app, &run).note_trouble(TRADES, done).await
}

const TRADES: (RunSide, DayPart) = (RunSide::Trades, DayPart::WHOLE);

/// Reconciles one part of a day that was split.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn reconcile_part(
    app: &App,
    date: BillDate,
    run_id: &str,
    part: u8,
    trace: &Trace,
) -> Result<(), DayError> {
    let run = RunRecord::new(app, date, run_id).current().await?;
    if run.parts_done.contains_key(&part) {
        return close_if_whole(app, &run, trace).await;
    }
    let part = DayPart {
        number: part,
        of: run.parts,
    };
    let done = async {
        let books = DayIndex::new(app, date).load(part).await?;
        Box::pin(one_part(app, &run, part, books, trace)).await
    }
    .await;
    RunRecord::new(app, date, run_id)
        .note_trouble((RunSide::Trades, part), done)
        .await
}

/// The whole day in one go, or, where the books are too many, its split.
async fn whole(app: &App, run: &Run, trace: &Trace) -> Result<(), DayError> {
    match DayIndex::new(app, run.date).load_if_they_fit().await? {
        Loaded::Books(books) => Box::pin(one_part(app, run, DayPart::WHOLE, *books, trace)).await,
        Loaded::TooMany => {
            // Bills are fetched once, for all parts.
            let facts = BillReader::new(app, run).fetch_trade(run.date).await?;
            let before = fetch_before(app, run).await?;
            let parts = DayPart::count_for(facts.rows);
            let run = RunRecord::of(app, run)
                .save(|run| {
                    run.parts = parts;
                    note_trade_bill(run, &facts);
                    if let Some(before) = &before {
                        let of_day = run.fetched.entry(run.date.plus_days(-1)).or_default();
                        of_day.insert(BillName::Trade, before.clone());
                    }
                })
                .await?;
            for part in 0..parts {
                let message = ReconcileWork::PartV1 {
                    date: run.date,
                    run_id: run.id.clone(),
                    part,
                };
                app.work
                    .send_reconcile(&message, 0, &trace.traceparent())
                    .await?;
            }
            info!(date = %run.date, parts, rows = facts.rows, "the day is split");
            Ok(())
        }
    }
}

fn note_trade_bill(run: &mut Run, facts: &BillFacts) {
    run.bills.insert(BillName::Trade, facts.clone());
    let of_day = run.fetched.entry(run.date).or_default();
    of_day.insert(BillName::Trade, facts.clone());
}

/// Fetches the trade bill of the day before, for all parts. Where that cannot be, each part sees
/// for itself.
async fn fetch_before(app: &App, run: &Run) -> Result<Option<BillFacts>, DayError> {
    let date = run.date.plus_days(-1);
    if !BillReader::new(app, run).can_be_read(date).await? {
        return Ok(None);
    }
    or_without(BillReader::new(app, run).fetch_trade(date).await).map(Result::ok)
}

/// The result of reading the previous day's bill. A temporary failure is waited for. After any
/// other the day is reconciled without that bill, and this is why it could not be read.
fn or_without<T>(read: Result<T, DayError>) -> Result<Result<T, String>, DayError> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(error @ (DayError::Passing(_) | DayError::Superseded)) => Err(error),
        Err(
            error @ (DayError::NotReady { .. }
            | DayError::Bill(_)
            | DayError::BillAgain(_)
            | DayError::Damaged(_)),
        ) => {
            let why = ErrorChain(&error).to_string();
            warn!(
                error = why,
                "the trade bill of the day before is not there to look into"
            );
            Ok(Err(why))
        }
    }
}

async fn last_minutes(app: &App, run: &Run, part: DayPart) -> Result<LastMinutes, DayError> {
    let date = run.date.plus_days(-1);
    let mut last = LastMinutes::default();
    // For days long ago WeChat Pay no longer provides bills.
    if !BillReader::new(app, run).can_be_read(date).await? {
        return Ok(last);
    }
    let last_from = last_minutes_from(date);
    let read = BillReader::new(app, run)
        .read_trade(date, |rows| {
            for row in rows {
                if row.at() >= last_from.as_str() && part.has(row.out_trade_no()) {
                    let kind = kind_of(row.kind);
                    let number = number_of(kind, row.transaction_id(), row.out_refund_no());
                    last.numbers.insert(number);
                }
            }
        })
        .await;
    if let Err(why) = or_without(read)? {
        last = LastMinutes {
            numbers: BTreeSet::new(),
            unread: Some(why),
        };
    }
    Ok(last)
}

/// When the last minutes of a day begin, as bills write times: `2026-08-01 23:50:00`. Such texts
/// are in the order of their times.
fn last_minutes_from(date: BillDate) -> String {
    let minutes = NEAR_MIDNIGHT_S / 60;
    format!("{date} 23:{:02}:00", 60_i64.saturating_sub(minutes))
}

/// The bill past our books; what that finds is confirmed, written down and repaired; then the part
/// is done.
async fn one_part(
    app: &App,
    run: &Run,
    part: DayPart,
    books: DayBooks,
    trace: &Trace,
) -> Result<(), DayError> {
    let last = last_minutes(app, run, part).await?;
    let trades = BillReader::new(app, run).trades(part, books).await?;
    let origin = Origin {
        cause: Cause::Reconciliation(run.id.clone()),
        trace: trace.clone(),
    };
    let run = &RunRecord::of(app, run)
        .save(|run| {
            note_trade_bill(run, &trades.facts);
        })
        .await?;
    let matched = trades.matched;
    let mut finding = Findings::new(run, part, app.clock.now());
    if let (true, Some(what)) = (part.is_first(), &trades.summary_differs) {
        finding.summary(BillName::Trade, what);
    }
    let mut confirmer = Confirmer::new(app, part, &matched, finding);
    confirmer.rows().await?;
    let carried = app.reconciliations.carried(run.date).await?;
    confirmer.absent(&last).await?;
    confirmer.carried(&carried).await?;
    let finding = confirmer.finish();

    let found = DifferenceStore::new(app, run)
        .write_down(&finding.differences())
        .await?;
    let mut waits = false;
    for carried in &finding.carried {
        waits |= app.reconciliations.carry(carried).await?;
    }
    // A preview starts nothing: the trade still waits for the real run of the day.
    if waits && !run.dry_run {
        run_the_next_day_again(app, run, part, trace).await?;
    }
    let side = (RunSide::Trades, part);
    let why = |known: &_| {
        let is_over = finding.tells_that_it_is_over(known);
        is_over.then(|| differences::AGREE.to_owned())
    };
    DifferenceStore::new(app, run)
        .agree_again(side, &found, why)
        .await?;
    let found = if run.dry_run {
        found
    } else {
        repair::all(app, found, run, &origin).await?
    };
    metrics::found(run, &found);
    let gaps = finding.gaps();
    let (date, of_part, attempt) = (run.date, part.number, app.random.id());
    app.reconciliations
        .save_gaps(date, &run.id, of_part, &attempt, &gaps)
        .await?;
    let left = &finding.left;
    app.reconciliations
        .save_left(date, &run.id, of_part, &attempt, left)
        .await?;
    let mut told = Gaps::default();
    gaps.values().for_each(|gaps| told.add_all(gaps));
    let done = PartDone {
        told: Some(told),
        gaps_of: (!gaps.is_empty()).then(|| attempt.clone()),
        left_of: (!left.is_empty()).then_some(attempt),
        there: matched.totals,
        here: matched.books.totals(),
        differences: differences::count(&found),
        carried: u64::try_from(finding.carried.len()).unwrap_or(u64::MAX),
    };
    let run = RunRecord::of(app, run)
        .save(|run| {
            run.parts_done.insert(part.number, done.clone());
        })
        .await?;
    close_if_whole(app, &run, trace).await
}

/// The next day's run, if there is one, may have read its carried trades before this one was added:
/// it is run again in the same way. Each part that carries a trade uses another id, since a
/// finished run does nothing when its message is delivered again.
async fn run_the_next_day_again(
    app: &App,
    run: &Run,
    part: DayPart,
    trace: &Trace,
) -> Result<(), DayError> {
    let runs = app.reconciliations.day_runs(run.date.plus_days(1)).await?;
    let Some(next) = runs.shown() else {
        return Ok(());
    };
    // Its request time is after the run that it follows, whatever two machines' clocks say.
    let after_it = next.requested_at_ms().saturating_add(1);
    let message = ReconcileWork::DayV1 {
        date: next.date,
        dry_run: next.dry_run,
        run_id: run.id_of_the_day_after(part.number),
        requested_at_ms: Some(app.clock.now_ms().max(after_it)),
    };
    info!(date = %next.date, "the day after has to judge what was carried to it: it is run again");
    app.work
        .send_reconcile(&message, 0, &trace.traceparent())
        .await?;
    Ok(())
}

/// The last part closes the trade side, starts the fund side, and reports the day's state in
/// metrics.
async fn close_if_whole(app: &App, run: &Run, trace: &Trace) -> Result<(), DayError> {
    if !run.is_whole() {
        return Ok(());
    }
    let run = RunRecord::of(app, run)
        .save(|run| {
            run.state = RunState::Done;
            run.trouble = None;
        })
        .await?;
    if run.owes_its_fund_side() {
        let message = ReconcileWork::FundsV1 {
            date: run.date,
            run_id: run.id.clone(),
        };
        app.work
            .send_reconcile(&message, 0, &trace.traceparent())
            .await?;
    }
    let open = DifferenceStore::new(app, &run).open().await?;
    metrics::trades_done(app, &run, open);
    Ok(())
}
