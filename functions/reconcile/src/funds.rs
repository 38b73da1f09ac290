//! The fund side of a run: the movements of the account against the trades, once the trade side is
//! done.
//!
//! All bills that it needs are fetched once for all its parts: those of the run's day and of as
//! many days before it as settlement takes by the contract. Then each part compares the movements
//! of those days with the expected ones. Expected and actual movements come from the bills alone,
//! so that each run of a day has the same result. Our books and WeChat Pay are only queried about
//! movements that no row explains.
//!
//! The fund side has its own result. A failure here is recorded as the fund side's trouble, is
//! retried if that may help, and does not change the trade side's result.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use adapters::queues::ReconcileWork;
use flows::trace::Trace;
use futures_util::{StreamExt, TryStreamExt, stream};
use matching::{
    bill_line::BillLine,
    fund_line::{FlowDirection, FundLine},
    funds::{FundBooks, FundDay, FundMatch},
};
use payments::{
    model::{
        bill_date::{BillDate, BillName},
        ids::{OrderNo, OutRefundNo, TransactionId},
    },
    reconcile::{
        classify::{about_row, side_of_row},
        difference::{
            Difference, DifferenceKind, DifferenceState, DifferenceSubject, RunSide, SideView,
        },
        run::{BillFacts, FundSide, FundState, FundsDone, Run},
    },
};
use tracing::info;
use wechatpay::bill::{TradeKind, TradeRow, beijing_time, yuan_of_fen};

use crate::{
    app::App,
    bills::BillReader,
    day_part::DayPart,
    differences::{self, DifferenceStore},
    error::DayError,
    finding::{DIFFERENCES_MAX, Findings},
    metrics, query,
    record::RunRecord,
};

/// Judges the movements of a run's day, or begins to where they have to be split.
///
/// # Errors
/// [`DayError`]. The day's record says so too.
pub(crate) async fn reconcile(
    app: &App,
    date: BillDate,
    run_id: &str,
    trace: &Trace,
) -> Result<(), DayError> {
    let run = RunRecord::new(app, date, run_id).current().await?;
    let Some(funds) = run.funds.as_ref().filter(|_| run.is_whole()) else {
        return Ok(());
    };
    match funds.state {
        FundState::Done => {
            info!(%date, run_id, "the fund side is done: the message came twice");
            // The worker that closed it may have crashed before it reported that.
            return close_if_whole(app, &run).await;
        }
        FundState::Failed => {
            info!(%date, run_id, "the fund side has failed: the message came twice");
            return Ok(());
        }
        FundState::Pending | FundState::Waiting | FundState::Running => {}
    }
    let done = whole(app, &run, trace).await;
    RunRecord::new(app, date, run_id)
        .note_trouble((RunSide::Funds, DayPart::WHOLE), done)
        .await
}

/// Judges one part of the movements.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn reconcile_part(
    app: &App,
    date: BillDate,
    run_id: &str,
    part: u8,
) -> Result<(), DayError> {
    let run = RunRecord::new(app, date, run_id).current().await?;
    let Some(funds) = &run.funds else {
        return Ok(());
    };
    if funds.parts_done.contains_key(&part) {
        return close_if_whole(app, &run).await;
    }
    let part = DayPart {
        number: part,
        of: funds.parts,
    };
    let done = Box::pin(one_part(app, &run, part)).await;
    RunRecord::new(app, date, run_id)
        .note_trouble((RunSide::Funds, part), done)
        .await
}

/// Everything in one go, or its split.
async fn whole(app: &App, run: &Run, trace: &Trace) -> Result<(), DayError> {
    let run = gather(app, run).await?;
    let Some(funds) = &run.funds else {
        return Ok(());
    };
    if funds.parts <= 1 {
        return Box::pin(one_part(app, &run, DayPart::WHOLE)).await;
    }
    for part in (0..funds.parts).filter(|part| !funds.parts_done.contains_key(part)) {
        let message = ReconcileWork::FundsPartV1 {
            date: run.date,
            run_id: run.id.clone(),
            part,
        };
        app.work
            .send_reconcile(&message, 0, &trace.traceparent())
            .await?;
    }
    info!(date = %run.date, parts = funds.parts, "the day's movements are split");
    Ok(())
}

/// The days whose bills a run needs, earliest first: its own, and as many before it as settlement
/// takes by the contract.
fn days(run: &Run, funds: &FundSide) -> impl Iterator<Item = (BillDate, FundDay)> {
    let (date, before) = (run.date, i64::from(funds.settlement_days));
    (0..=before).rev().map(move |days| {
        let day = match days {
            0 => FundDay::Same,
            _ if days == before => FundDay::Due,
            _ => FundDay::Between,
        };
        (date.plus_days(-days), day)
    })
}

/// The earliest of them, whose trades are settled by the end of the run's day.
fn due_date(run: &Run, funds: &FundSide) -> BillDate {
    run.date.plus_days(-i64::from(funds.settlement_days))
}

type Fetched = BTreeMap<BillDate, BTreeMap<BillName, BillFacts>>;

/// Fetches every bill that is needed for the movements and not stored yet, and records what is
/// known of each. Returns the run after that. Bills that were fetched before a failure are not
/// fetched again.
async fn gather(app: &App, run: &Run) -> Result<Run, DayError> {
    let Some(funds) = &run.funds else {
        return Ok(run.clone());
    };
    let mut fetched = run.fetched.clone();
    let gathered = gather_into(app, run, funds, &mut fetched).await;
    let parts = parts_of(app, run, funds, &fetched);
    let saved = RunRecord::of(app, run)
        .save(|run| {
            run.fetched.clone_from(&fetched);
            if let Some(own) = fetched.get(&run.date) {
                run.bills.extend(own.clone());
            }
            if let (Ok(()), Some(funds)) = (&gathered, &mut run.funds) {
                funds.state = FundState::Running;
                funds.parts = parts.max(funds.parts);
            }
        })
        .await;
    gathered?;
    saved
}

async fn gather_into(
    app: &App,
    run: &Run,
    funds: &FundSide,
    fetched: &mut Fetched,
) -> Result<(), DayError> {
    for (date, _) in days(run, funds) {
        // For days long ago WeChat Pay no longer provides bills.
        if !BillReader::new(app, run).can_be_read(date).await? {
            continue;
        }
        let of_day = fetched.entry(date).or_default();
        if let Entry::Vacant(place) = of_day.entry(BillName::Trade) {
            place.insert(BillReader::new(app, run).fetch_trade(date).await?);
        }
        for bill in &funds.accounts {
            if let Entry::Vacant(place) = of_day.entry(*bill) {
                place.insert(BillReader::new(app, run).fetch_fund(date, *bill).await?);
            }
        }
    }
    Ok(())
}

/// Number of parts that the movements are split into: at least as many as for the trades, and
/// enough that each part is not larger than for a day that is settled the next day.
fn parts_of(app: &App, run: &Run, funds: &FundSide, fetched: &Fetched) -> u8 {
    let trades = fetched
        .values()
        .filter_map(|of_day| of_day.get(&BillName::Trade));
    let rows = trades.fold(0_u64, |sum, facts| sum.saturating_add(facts.rows));
    let of_a_day = rows.div_ceil(DAYS_HELD);
    if of_a_day <= app.lines_max || funds.settlement_days <= 1 {
        run.parts
    } else {
        run.parts.max(DayPart::count_for(of_a_day))
    }
}

/// The days of trades that one run has room for, of as many lines as it holds of our books.
const DAYS_HELD: u64 = 2;

/// The movements of the part against what the trades have to move; what differs is written down;
/// then the part is done.
async fn one_part(app: &App, run: &Run, part: DayPart) -> Result<(), DayError> {
    let Some(funds) = &run.funds else {
        return Ok(());
    };
    let mut finding = Findings::new(run, part, app.clock.now());
    let moves = judge(app, run, funds, part, &mut finding).await?;
    let found = DifferenceStore::new(app, run)
        .write_down(&finding.differences())
        .await?;
    let side = (RunSide::Funds, part);
    let due = due_date(run, funds);
    let why = |known: &Difference| {
        let is_over = finding.tells_that_it_is_over(known);
        is_over.then(|| why_gone(known, &moves, due, funds.settlement_days))?
    };
    DifferenceStore::new(app, run)
        .agree_again(side, &found, why)
        .await?;
    metrics::found(run, &found);
    let done = FundsDone {
        differences: differences::count(&found),
        carried: moves.carried,
    };
    let run = RunRecord::of(app, run)
        .save(|run| {
            if let Some(funds) = &mut run.funds {
                funds.parts_done.insert(part.number, done.clone());
            }
        })
        .await?;
    close_if_whole(app, &run).await
}

/// Reason written into a fund-side difference that a later run no longer finds.
fn why_gone(
    difference: &Difference,
    moves: &FundPass,
    due: BillDate,
    settlement_days: u8,
) -> Option<String> {
    // Without all bills of the days before, nothing can be said of movements.
    if difference.kind.is_of_movements() && !moves.all_read {
        return None;
    }
    let traded_at = difference.there.as_ref().and_then(|there| there.at);
    let traded_on = traded_at.map(BillDate::of);
    let is_later = traded_on.filter(|date| *date > due);
    if let (DifferenceKind::TradeWithoutFundFlow, Some(date)) = (difference.kind, is_later) {
        let judged = date.plus_days(i64::from(settlement_days));
        return Some(format!(
            "the trade is settled by {judged}: the run of that day judges it"
        ));
    }
    Some(differences::AGREE.to_owned())
}

/// The last part closes the fund side and reports the day's state in metrics.
async fn close_if_whole(app: &App, run: &Run) -> Result<(), DayError> {
    if !run.funds.as_ref().is_some_and(FundSide::is_whole) {
        return Ok(());
    }
    let run = RunRecord::of(app, run)
        .save(|run| {
            if let Some(funds) = &mut run.funds {
                funds.state = FundState::Done;
                funds.trouble = None;
            }
        })
        .await?;
    let open = DifferenceStore::new(app, &run).open().await?;
    metrics::funds_done(&run, open);
    Ok(())
}

/// Results of matching movements with trades, besides differences.
struct FundPass {
    /// Trades of the day that not all has moved for yet.
    carried: u64,
    /// Whether the bills of all days were there to read.
    all_read: bool,
}

/// Lays the movements of all days against what the trades of all days have to move.
async fn judge(
    app: &App,
    run: &Run,
    funds: &FundSide,
    part: DayPart,
    finding: &mut Findings,
) -> Result<FundPass, DayError> {
    let mut books = FundBooks::with_capacity(FIRST_ROOM, app.hash_key(), DIFFERENCES_MAX);
    let (read, unread): (Vec<_>, Vec<_>) =
        days(run, funds).partition(|(date, _)| run.fetched.contains_key(date));
    for (date, day) in &read {
        BillReader::new(app, run)
            .read_trade(*date, |rows| {
                for row in rows.iter().filter(|row| part.has(id_of(row))) {
                    books.expect(row, *day);
                }
            })
            .await?;
    }
    // Up to which movement without a trade each bill goes.
    let mut strays_until = Vec::new();
    for (date, day) in &read {
        for bill in &funds.accounts {
            let read = BillReader::new(app, run)
                .read_fund(*date, *bill, |row| {
                    if part.has(row.business_id()) {
                        books.take(row, *day);
                    }
                })
                .await?;
            strays_until.push((*bill, books.strays()));
            if let (FundDay::Same, true, Some(what)) = (day, part.is_first(), &read.summary_differs)
            {
                finding.summary(*bill, what);
            }
        }
    }
    let funded = books.finish();
    let due = due_date(run, funds);
    let mut looked_at =
        stream::iter(funded.without_trade.iter().enumerate())
            .map(|(at, line)| async move {
                Ok::<_, DayError>((at, line, is_known(app, due, line).await?))
            })
            .buffered(SIDE_BY_SIDE);
    while let Some((at, line, is_known)) = looked_at.try_next().await? {
        let bill = strays_until.iter().find(|(_, until)| at < *until);
        if !is_known {
            finding.add(
                DifferenceKind::FundFlowWithoutTrade,
                about_flow(line, bill.map(|(bill, _)| *bill)),
                Some(side_of_flow(line)),
                None,
            );
        }
    }
    finding.more(
        DifferenceKind::FundFlowWithoutTrade,
        funded.without_trade_more,
    );
    if funded.missing_due > 0 || funded.off_due > 0 {
        name_them(app, run, funds, part, &funded.books, finding).await?;
    }
    Ok(FundPass {
        carried: funded.missing.saturating_add(funded.off),
        all_read: unread.is_empty(),
    })
}

/// How many movements are examined in parallel: our books are read, and WeChat Pay is queried about
/// refunds.
const SIDE_BY_SIDE: usize = 8;

/// Room to begin with; a bigger day makes it grow.
const FIRST_ROOM: usize = 8_192;

/// Trades with a difference that already explains the different movement: it is the same fact seen
/// from the other side.
struct Explained(BTreeSet<(Option<String>, Option<String>)>);

impl Explained {
    fn by(told: &[Difference]) -> Self {
        let explaining = told.iter().filter(|known| explains(known));
        Self(explaining.map(|known| numbers(&known.about)).collect())
    }

    fn has(&self, about: &DifferenceSubject) -> bool {
        self.0.contains(&numbers(about))
    }
}

fn numbers(about: &DifferenceSubject) -> (Option<String>, Option<String>) {
    (about.transaction_id.clone(), about.refund_id.clone())
}

fn explains(known: &Difference) -> bool {
    if known.aggregate.is_some() {
        return false; // it is about no trade of its own
    }
    // What was repaired by asking proves the bill right, so it says nothing of the account.
    let proved_right = known.state == DifferenceState::Repaired && !known.kind.is_of_movements();
    known.kind.explains_movement() && !proved_right
}

/// A second pass over the trade bill of the due day, for the rows whose movements are missing or
/// off. Of later trades nothing is said yet: the rest may move in time.
async fn name_them(
    app: &App,
    run: &Run,
    funds: &FundSide,
    part: DayPart,
    books: &FundBooks,
    finding: &mut Findings,
) -> Result<(), DayError> {
    let date = due_date(run, funds);
    let told_before = Explained::by(&DifferenceStore::new(app, run).all(date).await?);
    BillReader::new(app, run)
        .read_trade(date, |rows| {
            for row in rows.iter().filter(|row| part.has(id_of(row))) {
                let moved = match books.funding(row) {
                    FundMatch::AsExpected => continue,
                    FundMatch::Off { expected, moved } => {
                        format!("expected {}, moved {}", yuan(expected), yuan(moved))
                    }
                    FundMatch::Missing { expected } => {
                        let (expected, until) = (yuan(expected), run.date);
                        format!("expected {expected}, nothing moved until {until}")
                    }
                };
                let row = BillLine::from(row);
                let about = about_row(&row);
                if !told_before.has(&about) {
                    let there = SideView {
                        note: Some(moved),
                        ..side_of_row(&row)
                    };
                    finding.add(
                        DifferenceKind::TradeWithoutFundFlow,
                        about,
                        Some(there),
                        None,
                    );
                }
            }
        })
        .await?;
    Ok(())
}

/// Whether a movement without a bill row belongs to a trade that we know: a booked or parked
/// payment of any day, or a refund whose order and acceptance time WeChat Pay reports. Money may
/// move later than the contract says, and a refund may end days after it was accepted. `due` is the
/// earliest day whose bill was read.
async fn is_known(app: &App, due: BillDate, line: &FundLine) -> Result<bool, DayError> {
    if let (Ok(order_no), Ok(transaction_id)) = (
        OrderNo::parse(&line.voucher),
        TransactionId::parse(&line.business_id),
    ) {
        let order = app.orders.read(&order_no).await?;
        let booked = order.as_ref().and_then(|order| order.state.payment());
        let parked = app.orders.parked_payment(&order_no, &transaction_id);
        if booked.is_some_and(|payment| payment.transaction_id == transaction_id)
            || parked.await?.is_some()
        {
            return Ok(true);
        }
    }
    let Ok(out_refund_no) = OutRefundNo::parse(&line.voucher) else {
        return Ok(false);
    };
    let Ok(news) = query::refund(app, &out_refund_no).await? else {
        return Ok(false);
    };
    if news.refund_id.as_str() != line.business_id {
        return Ok(false);
    }
    // It is of an older day: that day's bill had it, and its run has decided about it.
    let older = |at| BillDate::of(at) < due;
    if news.accepted_at.is_some_and(older) {
        return Ok(true);
    }
    let ours = app.orders.refund_known_as(&news.order_no, &out_refund_no);
    Ok(ours.await?.is_some())
}

/// What a row's movements are booked under.
pub(crate) fn id_of<'a>(row: &TradeRow<'a>) -> &'a str {
    match row.kind {
        TradeKind::Payment | TradeKind::Revoked => row.transaction_id(),
        TradeKind::Refund => row.refund_id(),
    }
}

fn about_flow(line: &FundLine, bill: Option<BillName>) -> DifferenceSubject {
    DifferenceSubject {
        bill,
        order_no: Some(line.voucher.clone()).filter(|voucher| !voucher.is_empty()),
        transaction_id: Some(line.business_id.clone()),
        line: Some(line.line),
        ..DifferenceSubject::default()
    }
}

fn side_of_flow(line: &FundLine) -> SideView {
    let sign = match line.flow {
        FlowDirection::In => 1,
        FlowDirection::Out => -1,
    };
    SideView {
        amount_fen: Some(line.amount_fen.saturating_mul(sign)),
        state: Some(line.business_type.clone()),
        at: beijing_time(&line.at),
        note: Some(format!("{}, flow {}", line.business_name, line.flow_id)),
        ..SideView::default()
    }
}

/// 1/100000 yuan for display, rounded to the fen.
fn yuan(units: i64) -> String {
    yuan_of_fen(units / 1_000)
}
