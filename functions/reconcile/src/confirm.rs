//! Candidates -> each order read consistently -> what differs.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use payments::{
    ids::{OrderNo, OutRefundNo, TransactionId},
    reconcile::{
        bill_line::{BillLine, LineKind},
        books::DayBooks,
        carried::{Awaits, Carried, Trade, TradeKind},
        difference::{About, Difference, Kind, Side},
        judge::{
            Judgement, Near, Read, about_row, judge_absent_payment, judge_absent_refund, judge_row,
            near, side_of_row,
        },
        run::{BillDate, BillName, Run},
    },
};
use wechatpay::{UnixSeconds, bill::Fee};

use adapters::order_table::DayLine;

use crate::{desk::Desk, error::DayError, our_books, part::Part};

/// How many orders are read at once.
const SIDE_BY_SIDE: usize = 16;

/// What a pass finds, before any of it is written down.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) date: BillDate,
    run_id: String,
    at: UnixSeconds,
    /// By id, so that what is found twice is one.
    pub(crate) differences: BTreeMap<String, Difference>,
    /// What is judged with the next day.
    pub(crate) carried: Vec<Carried>,
    /// Payments and refunds that the bill has, among those that had to be looked at.
    named: BTreeSet<String>,
}

impl Finding {
    pub(crate) fn new(run: &Run, at: UnixSeconds) -> Self {
        Self {
            date: run.date,
            run_id: run.id.clone(),
            at,
            differences: BTreeMap::new(),
            carried: Vec::new(),
            named: BTreeSet::new(),
        }
    }

    /// Notes a difference.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        about: About,
        there: Option<Side>,
        here: Option<Side>,
    ) {
        let difference =
            Difference::found(self.date, kind, about, there, here, &self.run_id, self.at);
        self.differences
            .entry(difference.id.clone())
            .or_insert(difference);
    }

    /// Notes that a bill's last row is not the sum of its rows.
    pub(crate) fn summary(&mut self, bill: BillName, what: &str) {
        let about = About {
            bill: Some(bill),
            ..About::default()
        };
        let there = Side {
            note: Some(what.to_owned()),
            ..Side::default()
        };
        self.add(Kind::SummaryDiffers, about, Some(there), None);
    }

    fn carry(&mut self, why: Awaits, trade: Trade) {
        self.carried
            .push(Carried::to(self.date.plus_days(1), why, trade));
    }
}

/// The number that a trade is told by.
fn number_of(kind: TradeKind, transaction_id: &str, out_refund_no: &str) -> String {
    match kind {
        TradeKind::Payment => format!("payment#{transaction_id}"),
        TradeKind::Refund => format!("refund#{out_refund_no}"),
    }
}

/// Confirms rows that the books did not agree with.
pub(crate) async fn rows(
    desk: &Desk,
    candidates: &[BillLine],
    finding: &mut Finding,
) -> Result<(), DayError> {
    let mut judged = stream::iter(candidates)
        .map(|row| async move {
            let read = read(desk, row).await?;
            Ok::<_, DayError>((row, judge_row(row, &desk.mchid, &read)))
        })
        .buffered(SIDE_BY_SIDE);
    while let Some((row, judgement)) = judged.try_next().await? {
        let kind = match row.kind {
            LineKind::Payment | LineKind::Revoked => TradeKind::Payment,
            LineKind::Refund => TradeKind::Refund,
        };
        let number = number_of(kind, &row.transaction_id, &row.out_refund_no);
        let again = !finding.named.insert(number);
        match judgement {
            Judgement::Differs(kind, here) => {
                finding.add(kind, about_row(row), Some(side_of_row(row)), here);
            }
            Judgement::Agrees(booked_at) => {
                // The books have it on the day after this bill: that day's run must not miss it in its own bill.
                let at = booked_at.filter(|at| BillDate::of(*at) == finding.date.plus_days(1));
                if let (Some(at), false) = (at, again) {
                    finding.carry(Awaits::Books, trade_of(row, kind, at));
                }
            }
        }
    }
    Ok(())
}

/// Whether our books differ from a row.
pub(crate) async fn differs(desk: &Desk, row: &BillLine) -> Result<Option<Kind>, DayError> {
    let read = read(desk, row).await?;
    Ok(match judge_row(row, &desk.mchid, &read) {
        Judgement::Differs(kind, _) => Some(kind),
        Judgement::Agrees(_) => None,
    })
}

/// Rows that the bill has twice: its sum is too high by each.
pub(crate) fn repeated(rows: &[BillLine], finding: &mut Finding) {
    for row in rows {
        let kind = match row.kind {
            LineKind::Payment | LineKind::Revoked => Kind::AmountDiffers,
            LineKind::Refund => Kind::RefundAmountDiffers,
        };
        let there = Side {
            note: Some("the bill has this row more than once".to_owned()),
            ..side_of_row(row)
        };
        finding.add(kind, about_row(row), Some(there), None);
    }
}

/// Rows whose fee is not their own rate's.
pub(crate) fn off_rate(rows: &[BillLine], finding: &mut Finding) {
    for row in rows {
        let there = Side {
            note: Some(format!("fee {} at {}", Fee::from_units(row.fee), row.rate)),
            ..side_of_row(row)
        };
        finding.add(Kind::FeeOffTheRate, about_row(row), Some(there), None);
    }
}

/// Lines of our books that no row named.
pub(crate) async fn absent(
    desk: &Desk,
    part: Part,
    books: &DayBooks,
    carried: &[Carried],
    finding: &mut Finding,
) -> Result<(), DayError> {
    let seen_before: BTreeSet<String> = carried
        .iter()
        .filter(|carried| carried.why == Awaits::Books)
        .map(|carried| number_of_trade(&carried.trade))
        .collect();
    for shard in part.shards().filter(|shard| books.unseen_in(*shard) > 0) {
        let mut from = None;
        loop {
            let (_, page) = our_books::page(desk, finding.date, shard, from).await?;
            for line in &page.lines {
                let unseen =
                    our_books::book_line(line).is_some_and(|entered| books.is_unseen(&entered));
                if unseen {
                    absent_line(desk, line, &seen_before, finding).await?;
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

async fn absent_line(
    desk: &Desk,
    line: &DayLine,
    seen_before: &BTreeSet<String>,
    finding: &mut Finding,
) -> Result<(), DayError> {
    let (trade, judged) = match line {
        DayLine::Payment {
            order_no,
            transaction_id,
            amount_fen,
            at,
            ..
        } => {
            let order = desk.orders.read(order_no).await?;
            let trade = Trade {
                kind: TradeKind::Payment,
                order_no: order_no.as_str().to_owned(),
                transaction_id: Some(transaction_id.as_str().to_owned()),
                out_refund_no: None,
                refund_id: None,
                amount_fen: *amount_fen,
                at: *at,
            };
            let judged = judge_absent_payment(order.as_ref(), transaction_id.as_str());
            (trade, judged)
        }
        DayLine::Refund {
            order_no,
            refund_no,
            out_refund_no,
            refund_id,
            transaction_id,
            amount_fen,
            at,
            ..
        } => {
            let refund = desk.orders.refund(order_no, refund_no).await?;
            let trade = Trade {
                kind: TradeKind::Refund,
                order_no: order_no.as_str().to_owned(),
                transaction_id: Some(transaction_id.as_str().to_owned()),
                out_refund_no: Some(out_refund_no.as_str().to_owned()),
                refund_id: refund_id.as_ref().map(|id| id.as_str().to_owned()),
                amount_fen: *amount_fen,
                at: *at,
            };
            (trade, judge_absent_refund(refund.as_ref(), finding.date))
        }
        DayLine::Parked { .. } => return Ok(()),
    };
    let number = number_of_trade(&trade);
    let Some((kind, here)) = judged else {
        return Ok(());
    };
    // A row among the candidates names it, so the bill has it, or the bill of the day before had.
    if finding.named.contains(&number) || seen_before.contains(&number) {
        return Ok(());
    }
    match near(finding.date, trade.at) {
        Near::End => finding.carry(Awaits::Bill, trade),
        Near::Beginning | Near::Neither => finding.add(kind, about_trade(&trade), None, Some(here)),
    }
    Ok(())
}

/// What the day before could not judge: this day's bill has it, or nobody's.
pub(crate) async fn carried(
    desk: &Desk,
    part: Part,
    carried: &[Carried],
    finding: &mut Finding,
) -> Result<(), DayError> {
    for carried in carried {
        if !part.has(&carried.trade.order_no) {
            continue;
        }
        let trade = &carried.trade;
        if carried.why == Awaits::Bill && !finding.named.contains(&number_of_trade(trade)) {
            let judged = still_absent(desk, trade).await?;
            if let Some((kind, here)) = judged {
                finding.add(kind, about_trade(trade), None, Some(here));
            }
        }
        if !carried.settled {
            desk.reconciliations
                .settle_carried(carried.date, &carried.id)
                .await?;
        }
    }
    Ok(())
}

async fn still_absent(desk: &Desk, trade: &Trade) -> Result<Option<(Kind, Side)>, DayError> {
    let Ok(order_no) = OrderNo::parse(&trade.order_no) else {
        return Ok(None);
    };
    match trade.kind {
        TradeKind::Payment => {
            let order = desk.orders.read(&order_no).await?;
            let transaction_id = trade.transaction_id.as_deref().unwrap_or_default();
            Ok(judge_absent_payment(order.as_ref(), transaction_id))
        }
        TradeKind::Refund => {
            let number = trade.out_refund_no.as_deref().unwrap_or_default();
            let Ok(out_refund_no) = OutRefundNo::parse(number) else {
                return Ok(None);
            };
            let refund = desk
                .orders
                .refund_known_as(&order_no, &out_refund_no)
                .await?;
            Ok(judge_absent_refund(refund.as_ref(), BillDate::of(trade.at)))
        }
    }
}

/// What stands under a row's numbers, read consistently. A number that no order of ours could have has nothing under it.
async fn read(desk: &Desk, row: &BillLine) -> Result<Read, DayError> {
    let Ok(order_no) = OrderNo::parse(&row.order_no) else {
        return Ok(Read::default());
    };
    let order = desk.orders.read(&order_no).await?;
    let mut read = Read {
        order,
        ..Read::default()
    };
    match row.kind {
        LineKind::Payment | LineKind::Revoked => {
            if let Ok(transaction_id) = TransactionId::parse(&row.transaction_id) {
                read.parked = desk
                    .orders
                    .parked_payment(&order_no, &transaction_id)
                    .await?;
            }
        }
        LineKind::Refund => {
            if let Ok(out_refund_no) = OutRefundNo::parse(&row.out_refund_no) {
                read.refund = desk
                    .orders
                    .refund_known_as(&order_no, &out_refund_no)
                    .await?;
            }
        }
    }
    Ok(read)
}

fn number_of_trade(trade: &Trade) -> String {
    number_of(
        trade.kind,
        trade.transaction_id.as_deref().unwrap_or_default(),
        trade.out_refund_no.as_deref().unwrap_or_default(),
    )
}

fn about_trade(trade: &Trade) -> About {
    About {
        order_no: Some(trade.order_no.clone()),
        transaction_id: trade.transaction_id.clone(),
        out_refund_no: trade.out_refund_no.clone(),
        refund_id: trade.refund_id.clone(),
        ..About::default()
    }
}

fn trade_of(row: &BillLine, kind: TradeKind, at: UnixSeconds) -> Trade {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Trade {
        kind,
        order_no: row.order_no.clone(),
        transaction_id: some(&row.transaction_id),
        out_refund_no: some(&row.out_refund_no),
        refund_id: some(&row.refund_id),
        amount_fen: match kind {
            TradeKind::Payment => row.total_fen,
            TradeKind::Refund => row.requested_refund_fen,
        },
        at,
    }
}
