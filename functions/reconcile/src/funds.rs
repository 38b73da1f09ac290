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
        fund_line::{Flow, FundLine},
        funds::{FundBooks, FundDay, Funding},
        judge::{about_row, beijing, side_of_row},
        run::{BILLS_LAST_DAYS, BillDate, BillFacts, BillName, Run},
    },
};
use wechatpay::{
    api::AccountType,
    bill::{TradeKind, TradeRow, yuan_of_fen},
};

use crate::{
    bills::{self, DIFFERENCES_MAX},
    confirm::Finding,
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
    same && explains
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
    let told_before = day::all_differences(desk, run.date.plus_days(-1)).await?;
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
                tell(&BillLine::from(row), moved, &told_before, finding);
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// Notes a trade for which the account moved otherwise than it should, unless that is told already.
fn tell(row: &BillLine, moved: String, told_before: &[Difference], finding: &mut Finding) {
    let about = about_row(row);
    let mut told = told_before.iter().chain(finding.differences.values());
    if told.any(|known| explains(known, &about)) {
        return;
    }
    let there = Side {
        note: Some(moved),
        ..side_of_row(row)
    };
    finding.add(Kind::TradeWithoutFundFlow, about, Some(there), None);
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
        at: beijing(&line.at),
        note: Some(format!("{}, flow {}", line.business_name, line.flow_id)),
    }
}

/// 1/100000 yuan as people read it, to the fen.
fn yuan(units: i64) -> String {
    yuan_of_fen(units / 1_000)
}
