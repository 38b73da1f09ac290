//! The third side: the movements of the account, of the day and the day before, against the trades of both days.
//!
//! A merchant may be settled the day after a trade, so a trade without a movement waits for the next day's bills. All of it is read
//! from the bills alone, so that each run of a day comes to the same.

use std::collections::BTreeMap;

use payments::{
    ids::{OrderNo, TransactionId},
    reconcile::{
        bill_line::BillLine,
        difference::{About, Difference, Kind, Side},
        fee::is_rate_kept,
        fund_line::{Flow, FundLine},
        funds::{FundBooks, FundDay, Funding},
        judge::{about_row, side_of_row},
        matcher::TooManyDifferences,
        run::{BILLS_LAST_DAYS, BillDate, BillFacts, BillName, Run},
    },
};
use wechatpay::{
    api::AccountType,
    bill::{TradeKind, TradeRow, beijing_time, yuan_of_fen},
};

use crate::{
    bills::{self, DIFFERENCES_MAX},
    confirm::{self, Finding},
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
    /// Trades of the day that nothing has moved for yet.
    pub(crate) carried: u64,
}

/// What the account has to move for the trades of the day before, part of which may come on the day itself.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn expected(desk: &Desk, run: &Run, part: Part) -> Result<FundBooks, DayError> {
    let mut books = FundBooks::with_capacity(FIRST_ROOM, desk.hash_key(), DIFFERENCES_MAX);
    if let [(before, FundDay::Before), ..] = *days(desk, run) {
        bills::read_trade(desk, run, before, |rows| {
            for row in rows.iter().filter(|row| part.has(id_of(row))) {
                books.expect(row, FundDay::Before);
            }
            Ok(())
        })
        .await?;
    }
    Ok(books)
}

/// The days whose bills are read. Of the day before the oldest, WeChat Pay gives no bill any more.
fn days(desk: &Desk, run: &Run) -> Vec<(BillDate, FundDay)> {
    let oldest = BillDate::of(desk.clock.now()).plus_days(-BILLS_LAST_DAYS);
    let before = (run.date.plus_days(-1), FundDay::Before);
    let mut days = vec![(run.date, FundDay::Same)];
    if before.0 >= oldest {
        days.insert(0, before);
    }
    days
}

/// Lays the movements of two days against what the trades of both days have to move.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn judge(
    desk: &Desk,
    run: &Run,
    part: Part,
    mut books: FundBooks,
    finding: &mut Finding,
) -> Result<Moves, DayError> {
    let days = days(desk, run);
    let mut facts = BTreeMap::new();
    for (date, day) in days.iter().copied() {
        for account in ACCOUNTS {
            let read = bills::read_fund(desk, run, date, account, |row| {
                if part.has(row.business_id()) {
                    books.take(row, day)?;
                }
                Ok(())
            })
            .await?;
            if date == run.date {
                facts.insert(account.0, read.facts);
                if let (true, Some(what)) = (part.is_first(), &read.summary_differs) {
                    finding.summary(account.0, what);
                }
            }
        }
    }
    let funded = books.finish();
    for line in &funded.without_trade {
        if !is_ours(desk, line).await? {
            finding.add(
                Kind::FundFlowWithoutTrade,
                about_flow(line),
                Some(side_of_flow(line)),
                None,
            );
        }
    }
    if funded.missing_before > 0 || funded.off > 0 {
        name_them(desk, run, part, &funded.books, &days, finding).await?;
    }
    Ok(Moves {
        bills: facts,
        carried: funded.missing,
    })
}

/// Room to begin with; a bigger day makes it grow.
const FIRST_ROOM: usize = 8_192;

/// Whether a difference that is told says why the account moved otherwise: it is the same thing from its other side.
fn explains(known: &Difference, about: &About) -> bool {
    known.about.transaction_id == about.transaction_id
        && known.about.refund_id == about.refund_id
        && is_why(known.kind)
}

/// Whether a difference of this kind is a reason for the account to move otherwise.
fn is_why(kind: Kind) -> bool {
    match kind {
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
    }
}

/// A trade for which the account moved otherwise than it should.
struct Odd {
    row: BillLine,
    moved: String,
    /// Another part of the day has the row's order, and tells what is to be told of it.
    of_other_part: bool,
    rate_kept: bool,
}

/// A second pass over the trade bills, for the rows whose movements are missing or off.
async fn name_them(
    desk: &Desk,
    run: &Run,
    part: Part,
    books: &FundBooks,
    days: &[(BillDate, FundDay)],
    finding: &mut Finding,
) -> Result<(), DayError> {
    let mut odd: Vec<Odd> = Vec::new();
    for (date, day) in days.iter().copied() {
        bills::read_trade(desk, run, date, |rows| {
            for row in rows.iter().filter(|row| part.has(id_of(row))) {
                let moved = match (books.funding(row), day) {
                    (Funding::AsExpected, _) | (Funding::Missing { .. }, FundDay::Same) => continue,
                    // Of the day before: it moved today, or that day's run has told of it.
                    (Funding::Off { expected, moved }, _) => {
                        format!("expected {}, moved {}", yuan(expected), yuan(moved))
                    }
                    (Funding::Missing { expected }, FundDay::Before) => {
                        let (expected, until) = (yuan(expected), run.date);
                        format!("expected {expected}, nothing moved until {until}")
                    }
                };
                if odd.len() >= DIFFERENCES_MAX {
                    let at_most = DIFFERENCES_MAX;
                    return Err(TooManyDifferences { at_most }.into());
                }
                eprintln!(
                    "ODD part {part:?} {} {moved} {day:?} other {}",
                    row.out_trade_no(),
                    !part.has(row.out_trade_no())
                );
                odd.push(Odd {
                    row: BillLine::from(row),
                    moved,
                    of_other_part: day == FundDay::Same && !part.has(row.out_trade_no()),
                    rate_kept: is_rate_kept(row),
                });
            }
            Ok(())
        })
        .await?;
    }
    let told_before = day::all_differences(desk, run.date.plus_days(-1)).await?;
    for odd in odd {
        if !is_told(desk, &odd, &told_before, finding).await? {
            let there = Side {
                note: Some(odd.moved),
                ..side_of_row(&odd.row)
            };
            let about = about_row(&odd.row);
            finding.add(Kind::TradeWithoutFundFlow, about, Some(there), None);
        }
    }
    Ok(())
}

/// Whether the reason why the account moved otherwise is told: by the run of the day before, by this one, or by another part of
/// the day, whose word does not have to be waited for: it comes from the same row and the same order.
async fn is_told(
    desk: &Desk,
    odd: &Odd,
    told_before: &[Difference],
    finding: &Finding,
) -> Result<bool, DayError> {
    let about = about_row(&odd.row);
    let mut told = told_before.iter().chain(finding.differences.values());
    if told.any(|known| explains(known, &about)) {
        return Ok(true);
    }
    if !odd.of_other_part {
        return Ok(false);
    }
    let differs = confirm::differs(desk, &odd.row).await?;
    Ok(!odd.rate_kept || differs.is_some_and(is_why))
}

/// Whether a movement is of a payment that our books have, of whatever day: a merchant may be settled later than the next day.
async fn is_ours(desk: &Desk, line: &FundLine) -> Result<bool, DayError> {
    let (Ok(order_no), Ok(transaction_id)) = (
        OrderNo::parse(&line.voucher),
        TransactionId::parse(&line.business_id),
    ) else {
        return Ok(false);
    };
    let order = desk.orders.read(&order_no).await?;
    Ok(order.is_some_and(|order| {
        order
            .state
            .payment()
            .is_some_and(|payment| payment.transaction_id == transaction_id)
    }))
}

/// What a row's movements are booked under.
pub(crate) fn id_of<'a>(row: &TradeRow<'a>) -> &'a str {
    match row.kind {
        TradeKind::Payment | TradeKind::Revoked => row.transaction_id(),
        TradeKind::Refund => row.refund_id(),
    }
}

fn about_flow(line: &FundLine) -> About {
    About {
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
