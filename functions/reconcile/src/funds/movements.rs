//! The movements of the account against what the trades have to move.

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
        difference::{DifferenceKind, DifferenceSubject, SideView},
        run::{FundSide, Run},
    },
};
use wechatpay::bill::{TradeKind, TradeRow, beijing_time, yuan_of_fen};

use super::{days::BillDays, explained::Explained};
use crate::{
    app::App,
    bills::BillReader,
    day_part::DayPart,
    differences::DifferenceStore,
    error::DayError,
    finding::{DIFFERENCES_MAX, Findings},
    query,
};

/// How many movements are examined in parallel: our books are read, and WeChat Pay is queried about
/// refunds.
const SIDE_BY_SIDE: usize = 8;

/// Room to begin with; a bigger day makes it grow.
const FIRST_ROOM: usize = 8_192;

/// Results of matching movements with trades, besides differences.
pub(super) struct FundPass {
    /// Trades of the day that not all has moved for yet.
    pub(super) carried: u64,
    /// Whether the bills of all days were there to read.
    pub(super) all_read: bool,
}

/// Matches the movements of a part, and adds what differs to what was found.
pub(super) struct MovementMatcher<'a> {
    pub(super) app: &'a App,
    pub(super) run: &'a Run,
    pub(super) funds: &'a FundSide,
    pub(super) part: DayPart,
    pub(super) finding: &'a mut Findings,
}

impl MovementMatcher<'_> {
    /// Lays the movements of all days against what the trades of all days have to move.
    pub(super) async fn match_all(mut self) -> Result<FundPass, DayError> {
        let (app, part) = (self.app, self.part);
        let (bills, days) = (
            BillReader::new(app, self.run),
            BillDays::of(self.run, self.funds),
        );
        let mut books = FundBooks::with_capacity(FIRST_ROOM, app.hash_key(), DIFFERENCES_MAX);
        let (read, unread): (Vec<_>, Vec<_>) = days
            .all()
            .partition(|(date, _)| self.run.fetched.contains_key(date));
        for (date, day) in &read {
            bills
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
            for bill in &self.funds.accounts {
                let read = bills
                    .read_fund(*date, *bill, |row| {
                        if part.has(row.business_id()) {
                            books.take(row, *day);
                        }
                    })
                    .await?;
                strays_until.push((*bill, books.strays()));
                if let (FundDay::Same, true, Some(what)) =
                    (day, part.is_first(), &read.summary_differs)
                {
                    self.finding.summary(*bill, what);
                }
            }
        }
        let funded = books.finish();
        let due = days.due();
        let mut checked = stream::iter(funded.without_trade.iter().enumerate())
            .map(|(at, line)| async move {
                Ok::<_, DayError>((at, line, is_known(app, due, line).await?))
            })
            .buffered(SIDE_BY_SIDE);
        while let Some((at, line, is_known)) = checked.try_next().await? {
            let bill = strays_until.iter().find(|(_, until)| at < *until);
            if !is_known {
                self.finding.add(
                    DifferenceKind::FundFlowWithoutTrade,
                    about_flow(line, bill.map(|(bill, _)| *bill)),
                    Some(side_of_flow(line)),
                    None,
                );
            }
        }
        self.finding.more(
            DifferenceKind::FundFlowWithoutTrade,
            funded.without_trade_more,
        );
        if funded.missing_due > 0 || funded.off_due > 0 {
            self.name_them(due, &funded.books).await?;
        }
        Ok(FundPass {
            carried: funded.missing.saturating_add(funded.off),
            all_read: unread.is_empty(),
        })
    }

    /// A second pass over the trade bill of the due day, for the rows whose movements are missing
    /// or off. Later trades are not reported yet: their movements may still come in time.
    async fn name_them(&mut self, due: BillDate, books: &FundBooks) -> Result<(), DayError> {
        let Self {
            app,
            run,
            part,
            finding,
            ..
        } = self;
        let explained = Explained::by(&DifferenceStore::new(app, run).all(due).await?);
        BillReader::new(app, run)
            .read_trade(due, |rows| {
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
                    if !explained.has(&about) {
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

/// The number under which a row's movements are booked.
fn id_of<'a>(row: &TradeRow<'a>) -> &'a str {
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
