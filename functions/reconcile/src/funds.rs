//! The third side: the movements of the account, of the day and the day before, against the trades of both days.
//!
//! A merchant may be settled the day after a trade, so a trade without a movement waits for the next day's bills. What is expected
//! and what moved is read from the bills alone, so that each run of a day comes to the same; only of a movement that no row explains
//! are our books and WeChat Pay asked.

use std::collections::{BTreeMap, BTreeSet};

use payments::{
    ids::{OrderNo, OutRefundNo, TransactionId},
    reconcile::{
        bill_line::BillLine,
        difference::{About, Difference, Kind, Side, State},
        fund_line::{Flow, FundLine},
        funds::{FundBooks, FundDay, Funding},
        judge::{NEAR_MIDNIGHT_S, about_row, side_of_row},
        matcher::TooManyDifferences,
        run::{BillDate, BillFacts, BillName, Run},
    },
};
use wechatpay::{
    api::AccountType,
    bill::{TradeKind, TradeRow, beijing_time, yuan_of_fen},
};

use crate::{
    ask,
    bills::{self, DIFFERENCES_MAX},
    confirm::{Finding, kind_of, number_of},
    day,
    desk::Desk,
    error::DayError,
    part::Part,
};

/// The accounts that trades move. WeChat Pay settles to the first; the others hold what a merchant moved there.
const ACCOUNTS: [(BillName, AccountType); 3] = [
    (BillName::FundBasic, AccountType::Basic),
    (BillName::FundOperation, AccountType::Operation),
    (BillName::FundFees, AccountType::Fees),
];

/// What came of it, besides differences.
pub(crate) struct Moves {
    /// The day's fund bills.
    pub(crate) bills: BTreeMap<BillName, BillFacts>,
    /// Trades of the day that not all has moved for yet.
    pub(crate) carried: u64,
    /// Whether the trades of the day before were judged too.
    pub(crate) before: bool,
}

/// What is known of the day before once its trade bill was read.
pub(crate) struct Before {
    /// What the account has to move for its trades, part of which may come on the day itself.
    pub(crate) books: FundBooks,
    /// The trades of its last minutes: our books may have them on the day itself.
    pub(crate) last: BTreeSet<String>,
    /// Whether there is a bill to read; of days that are long over, WeChat Pay gives none any more.
    is_read: bool,
}

/// Reads the trade bill of the day before.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn before(desk: &Desk, run: &Run, part: Part) -> Result<Before, DayError> {
    let mut books = FundBooks::with_capacity(FIRST_ROOM, desk.hash_key(), DIFFERENCES_MAX);
    let mut last = BTreeSet::new();
    let date = run.date.plus_days(-1);
    let is_read = !bills::is_too_old(desk, date) || bills::is_kept(desk, date).await?;
    if is_read {
        let last_from = last_minutes_from(date);
        bills::read_trade(desk, run, date, |rows| {
            for row in rows {
                if part.has(id_of(row)) {
                    books.expect(row, FundDay::Before);
                }
                if row.at() >= last_from.as_str() && part.has(row.out_trade_no()) {
                    let kind = kind_of(row.kind);
                    last.insert(number_of(kind, row.transaction_id(), row.out_refund_no()));
                }
            }
            Ok(())
        })
        .await?;
    }
    Ok(Before {
        books,
        last,
        is_read,
    })
}

/// When the last minutes of a day begin, as bills write times: `2026-08-01 23:50:00`. Such texts are in the order of their times.
fn last_minutes_from(date: BillDate) -> String {
    let minutes = NEAR_MIDNIGHT_S / 60;
    format!("{date} 23:{:02}:00", 60_i64.saturating_sub(minutes))
}

/// Lays the movements of two days against what the trades of both days have to move.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn judge(
    desk: &Desk,
    run: &Run,
    part: Part,
    before: Before,
    finding: &mut Finding,
) -> Result<Moves, DayError> {
    let mut books = before.books;
    let mut days = vec![(run.date, FundDay::Same)];
    if before.is_read {
        days.insert(0, (run.date.plus_days(-1), FundDay::Before));
    }
    let mut facts = BTreeMap::new();
    // Up to which movement without a trade each bill goes.
    let mut strays_until = Vec::new();
    for (date, day) in days {
        for account in ACCOUNTS {
            let read = bills::read_fund(desk, run, date, account, |row| {
                if part.has(row.business_id()) {
                    books.take(row, day)?;
                }
                Ok(())
            })
            .await?;
            strays_until.push((account.0, books.strays()));
            if date == run.date {
                facts.insert(account.0, read.facts);
                if let (true, Some(what)) = (part.is_first(), &read.summary_differs) {
                    finding.summary(account.0, what);
                }
            }
        }
    }
    let funded = books.finish();
    for (at, line) in funded.without_trade.iter().enumerate() {
        let bill = strays_until.iter().find(|(_, until)| at < *until);
        if !is_known(desk, run.date, line).await? {
            finding.add(
                Kind::FundFlowWithoutTrade,
                about_flow(line, bill.map(|(bill, _)| *bill)),
                Some(side_of_flow(line)),
                None,
            );
        }
    }
    if funded.missing_before > 0 || funded.off_before > 0 {
        name_them(desk, run, part, &funded.books, finding).await?;
    }
    Ok(Moves {
        bills: facts,
        carried: funded.missing.saturating_add(funded.off),
        before: before.is_read,
    })
}

/// Room to begin with; a bigger day makes it grow.
const FIRST_ROOM: usize = 8_192;

/// Whether a difference that is told says why the account moved otherwise: it is the same thing from its other side.
fn explains(known: &Difference, about: &About) -> bool {
    let same = known.about.transaction_id == about.transaction_id
        && known.about.refund_id == about.refund_id;
    let explains = match known.kind {
        Kind::AmountDiffers
        | Kind::StatusDiffers
        | Kind::IdentityDiffers
        | Kind::RefundAmountDiffers
        | Kind::RefundStateDiffers
        | Kind::FeeOffTheRate
        | Kind::TradeWithoutFundFlow => true,
        Kind::PaidThereUnpaidHere
        | Kind::PaidHereAbsentThere
        | Kind::UnknownOrderThere
        | Kind::DuplicatePayment
        | Kind::RefundThereUnknownHere
        | Kind::RefundHereAbsentThere
        | Kind::FundFlowWithoutTrade
        | Kind::SummaryDiffers => false,
    };
    // What was repaired by asking proves the bill right, so it says nothing of the account.
    let proved_right = known.state == State::Repaired && known.kind != Kind::TradeWithoutFundFlow;
    same && explains && !proved_right
}

/// A second pass over the trade bill of the day before, for the rows whose movements are missing or off. Of the day itself nothing
/// is said yet: the rest may move tomorrow.
async fn name_them(
    desk: &Desk,
    run: &Run,
    part: Part,
    books: &FundBooks,
    finding: &mut Finding,
) -> Result<(), DayError> {
    let date = run.date.plus_days(-1);
    let told_before = day::all_differences(desk, date).await?;
    let mut told = 0_usize;
    bills::read_trade(desk, run, date, |rows| {
        for row in rows.iter().filter(|row| part.has(id_of(row))) {
            let moved = match books.funding(row) {
                Funding::AsExpected => continue,
                Funding::Off { expected, moved } => {
                    format!("expected {}, moved {}", yuan(expected), yuan(moved))
                }
                Funding::Missing { expected } => {
                    let (expected, until) = (yuan(expected), run.date);
                    format!("expected {expected}, nothing moved until {until}")
                }
            };
            told = told.saturating_add(1);
            if told > DIFFERENCES_MAX {
                let at_most = DIFFERENCES_MAX;
                return Err(TooManyDifferences { at_most }.into());
            }
            let row = BillLine::from(row);
            let about = about_row(&row);
            if !told_before.iter().any(|known| explains(known, &about)) {
                let there = Side {
                    note: Some(moved),
                    ..side_of_row(&row)
                };
                finding.add(Kind::TradeWithoutFundFlow, about, Some(there), None);
            }
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// Whether a movement that no row of two days explains is of a trade that is known all the same: a payment of our books, booked or
/// parked, of whatever day; or a refund, of which WeChat Pay tells the order, and when it was accepted. A merchant may be settled
/// later than the next day, and a refund may end days after it was accepted.
async fn is_known(desk: &Desk, date: BillDate, line: &FundLine) -> Result<bool, DayError> {
    if let (Ok(order_no), Ok(transaction_id)) = (
        OrderNo::parse(&line.voucher),
        TransactionId::parse(&line.business_id),
    ) {
        let order = desk.orders.read(&order_no).await?;
        let booked = order.as_ref().and_then(|order| order.state.payment());
        let parked = desk.orders.parked_payment(&order_no, &transaction_id);
        if booked.is_some_and(|payment| payment.transaction_id == transaction_id)
            || parked.await?.is_some()
        {
            return Ok(true);
        }
    }
    let Ok(out_refund_no) = OutRefundNo::parse(&line.voucher) else {
        return Ok(false);
    };
    let Ok(news) = ask::refund(desk, &out_refund_no).await? else {
        return Ok(false);
    };
    if news.refund_id.as_str() != line.business_id {
        return Ok(false);
    }
    // Of an older day: that day's bill had it, and its run has judged it.
    let older = |at| BillDate::of(at) < date.plus_days(-1);
    if news.accepted_at.is_some_and(older) {
        return Ok(true);
    }
    let ours = desk.orders.refund_known_as(&news.order_no, &out_refund_no);
    Ok(ours.await?.is_some())
}

/// What a row's movements are booked under.
pub(crate) fn id_of<'a>(row: &TradeRow<'a>) -> &'a str {
    match row.kind {
        TradeKind::Payment | TradeKind::Revoked => row.transaction_id(),
        TradeKind::Refund => row.refund_id(),
    }
}

fn about_flow(line: &FundLine, bill: Option<BillName>) -> About {
    About {
        bill,
        order_no: Some(line.voucher.clone()).filter(|voucher| !voucher.is_empty()),
        transaction_id: Some(line.business_id.clone()),
        line: Some(line.line),
        ..About::default()
    }
}

fn side_of_flow(line: &FundLine) -> Side {
    let sign = match line.flow {
        Flow::In => 1,
        Flow::Out => -1,
    };
    Side {
        amount_fen: Some(line.amount_fen.saturating_mul(sign)),
        state: Some(line.business_type.clone()),
        at: beijing_time(&line.at),
        note: Some(format!("{}, flow {}", line.business_name, line.flow_id)),
    }
}

/// 1/100000 yuan as people read it, to the fen.
fn yuan(units: i64) -> String {
    yuan_of_fen(units / 1_000)
}
