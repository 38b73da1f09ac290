//! Candidates -> each order read consistently -> what differs.

use std::collections::BTreeSet;

use adapters::order_table::DayLine;
use futures_util::{StreamExt, TryStreamExt, stream};
use matching::{
    bill_line::{BillLine, LineKind},
    books::{DayBooks, ParkedLine},
    totals::OTHERS,
};
use payments::{
    model::{
        bill_date::BillDate,
        ids::{OrderNo, OutRefundNo, TransactionId},
        order::Product,
    },
    reconcile::{
        carried::{CarriedKind, CarriedTrade, Trade},
        classify::{
            Classification, FoundRecord, about_row, classify_absent_parked,
            classify_absent_payment, classify_absent_refund, classify_row, counted_fen, gap_of_row,
            identity_of_row, side_of_row, sides_of_fee,
        },
        difference::{DifferenceKind, SideView},
    },
};

use crate::{
    app::App,
    day_part::DayPart,
    error::DayError,
    finding::Findings,
    last_minutes::LastMinutes,
    load_books, query,
    trade_identity::{about_trade, kind_of, number_of, number_of_trade},
};

/// How many orders are read at once.
const SIDE_BY_SIDE: usize = 16;

/// Confirms rows that the books did not agree with. What those make of the sums that the bill has
/// twice, [`repeated`] tells.
pub(crate) async fn rows(
    app: &App,
    candidates: &[BillLine],
    repeated: &[BillLine],
    books: &DayBooks,
    finding: &mut Findings,
) -> Result<(), DayError> {
    let repeated: BTreeSet<u64> = repeated.iter().map(|row| row.line).collect();
    let mut judged = stream::iter(candidates)
        .map(|row| async move {
            let read = read(app, row).await?;
            let counted_fen = counted_fen(row, &read, books);
            Ok::<_, DayError>((row, counted_fen, classify_row(row, &app.mchid, &read)))
        })
        .buffered(SIDE_BY_SIDE);
    while let Some((row, counted_fen, judgement)) = judged.try_next().await? {
        let number = number_of(kind_of(row.kind), &row.transaction_id, &row.out_refund_no);
        let gap = finding.gap_of_row(row, &number, counted_fen, repeated.contains(&row.line));
        finding.named.insert(number);
        match judgement {
            Classification::Differs(kind, here) => {
                let there = if kind == DifferenceKind::IdentityDiffers {
                    identity_of_row(row)
                } else {
                    side_of_row(row)
                };
                let sides = (Some(there), here);
                finding.add_with_gap(kind, about_row(row), sides, (&row.trade_type, gap));
            }
            Classification::Agrees => {}
        }
    }
    Ok(())
}

/// Rows that are in the bill twice. Each makes the bill's sum too high.
pub(crate) fn repeated(rows: &[BillLine], finding: &mut Findings) {
    for row in rows {
        let kind = match row.kind {
            LineKind::Payment | LineKind::Revoked => DifferenceKind::AmountDiffers,
            LineKind::Refund => DifferenceKind::RefundAmountDiffers,
        };
        let there = SideView {
            note: Some("the bill has this row more than once".to_owned()),
            ..side_of_row(row)
        };
        let of_sums = (row.trade_type.as_str(), gap_of_row(row, None));
        finding.add_with_gap(kind, about_row(row), (Some(there), None), of_sums);
    }
}

/// Rows whose fee differs from the fee that their own rate gives.
pub(crate) fn off_rate(rows: &[BillLine], finding: &mut Findings) {
    for row in rows {
        let (there, here) = sides_of_fee(row);
        let about = about_row(row);
        finding.add(
            DifferenceKind::FeeOffTheRate,
            about,
            Some(there),
            Some(here),
        );
    }
}

/// So many lines that the bill has not are read again by one run; more are counted.
const LINES_MAX: usize = 100_000;

/// Lines of our books and parked payments that no row named. `before` is what the previous day's
/// bill had in its last minutes.
pub(crate) async fn absent(
    app: &App,
    part: DayPart,
    books: &DayBooks,
    before: &LastMinutes,
    finding: &mut Findings,
) -> Result<(), DayError> {
    let date = finding.date;
    let mut room = LINES_MAX;
    for shard in part.shards().filter(|shard| books.unseen_in(*shard) > 0) {
        let mut from = None;
        loop {
            let (_, page) = load_books::page(app, date, shard, from).await?;
            let unseen = page.lines.iter().filter(|line| {
                load_books::book_line(line).is_some_and(|entered| books.is_unseen(&entered))
            });
            let unseen: Vec<&DayLine> = unseen.collect();
            let looked_at = room.min(unseen.len());
            room = room.saturating_sub(looked_at);
            for line in unseen.iter().skip(looked_at) {
                if let Some((trade, kind)) = trade_of(line) {
                    finding.absent_unread(trade, product_of(line), kind, before);
                }
            }
            let mut judged = stream::iter(unseen.into_iter().take(looked_at))
                .map(|line| absent_line(app, line, date))
                .buffered(SIDE_BY_SIDE);
            while let Some(judged) = judged.try_next().await? {
                if let Some((trade, product, judged)) = judged {
                    finding.absent(trade, product, judged, before);
                }
            }
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
    }
    absent_parked(app, books, room, before, finding).await
}

/// Parked payments that no row names: WeChat Pay reported them, so the day's bill must have them
/// like booked payments. Up to `room` of them are read again.
async fn absent_parked(
    app: &App,
    books: &DayBooks,
    room: usize,
    before: &LastMinutes,
    finding: &mut Findings,
) -> Result<(), DayError> {
    let product_of = |parked: &ParkedLine<'_>| parked.trade_type.unwrap_or(OTHERS);
    for parked in books.unseen_parked().skip(room) {
        let kind = DifferenceKind::PaidHereAbsentThere;
        finding.absent_unread(trade_of_parked(&parked), product_of(&parked), kind, before);
    }
    let mut judged = stream::iter(books.unseen_parked().take(room))
        .map(|parked| async move {
            let judged = parked_payment(app, parked.order_no, parked.transaction_id).await?;
            Ok::<_, DayError>((parked, judged))
        })
        .buffered(SIDE_BY_SIDE);
    while let Some((parked, judged)) = judged.try_next().await? {
        if let Some(judged) = judged {
            let trade = trade_of_parked(&parked);
            finding.absent(trade, product_of(&parked), judged, before);
        }
    }
    Ok(())
}

fn trade_of_parked(parked: &ParkedLine<'_>) -> Trade {
    Trade {
        kind: CarriedKind::Payment,
        order_no: parked.order_no.to_owned(),
        transaction_id: Some(parked.transaction_id.to_owned()),
        out_refund_no: None,
        refund_id: None,
        amount_fen: parked.amount_fen,
        at: parked.at,
    }
}

/// What a parked payment under these numbers is, if no bill row names it, by consistent read.
async fn parked_payment(
    app: &App,
    order_no: &str,
    transaction_id: &str,
) -> Result<Option<(DifferenceKind, SideView)>, DayError> {
    let numbers = (
        OrderNo::parse(order_no),
        TransactionId::parse(transaction_id),
    );
    let (Ok(order_no), Ok(transaction_id)) = numbers else {
        return Ok(None);
    };
    let parked = app
        .orders
        .parked_payment(&order_no, &transaction_id)
        .await?;
    Ok(classify_absent_parked(parked.as_ref()))
}

/// The trade of a line, and its kind of difference if the bill does not have it. Parked payments
/// are handled separately ([`absent_parked`]).
fn trade_of(line: &DayLine) -> Option<(Trade, DifferenceKind)> {
    match line {
        DayLine::Payment {
            order_no,
            transaction_id,
            amount_fen,
            at,
            ..
        } => {
            let trade = Trade {
                kind: CarriedKind::Payment,
                order_no: order_no.as_str().to_owned(),
                transaction_id: Some(transaction_id.as_str().to_owned()),
                out_refund_no: None,
                refund_id: None,
                amount_fen: *amount_fen,
                at: *at,
            };
            Some((trade, DifferenceKind::PaidHereAbsentThere))
        }
        DayLine::Refund {
            order_no,
            out_refund_no,
            refund_id,
            transaction_id,
            amount_fen,
            at,
            ..
        } => {
            let trade = Trade {
                kind: CarriedKind::Refund,
                order_no: order_no.as_str().to_owned(),
                transaction_id: Some(transaction_id.as_str().to_owned()),
                out_refund_no: Some(out_refund_no.as_str().to_owned()),
                refund_id: refund_id.as_ref().map(|id| id.as_str().to_owned()),
                amount_fen: *amount_fen,
                at: *at,
            };
            Some((trade, DifferenceKind::RefundHereAbsentThere))
        }
        DayLine::Parked { .. } => None,
    }
}

/// The product that a line is counted under.
fn product_of(line: &DayLine) -> &'static str {
    let product = match line {
        DayLine::Payment { product, .. } => Some(*product),
        DayLine::Refund { product, .. } => *product,
        DayLine::Parked { .. } => None,
    };
    product.map_or(OTHERS, Product::trade_type)
}

/// The trade that is absent from the bill, if it is: with its product, its kind of difference, and
/// our side.
async fn absent_line(
    app: &App,
    line: &DayLine,
    date: BillDate,
) -> Result<Option<(Trade, &'static str, (DifferenceKind, SideView))>, DayError> {
    let Some((trade, _)) = trade_of(line) else {
        return Ok(None);
    };
    let judged = match line {
        DayLine::Payment {
            order_no,
            transaction_id,
            ..
        } => {
            let order = app.orders.read(order_no).await?;
            classify_absent_payment(order.as_ref(), transaction_id.as_str())
        }
        DayLine::Refund {
            order_no,
            refund_no,
            out_refund_no,
            ..
        } => {
            let refund = app.orders.refund(order_no, refund_no).await?;
            let judged = classify_absent_refund(refund.as_ref(), date);
            let is_dated = refund.is_some_and(|refund| refund.accepted_at.is_some());
            if judged.is_some() && !is_dated && is_of_other_day(app, out_refund_no, date).await? {
                return Ok(None);
            }
            judged
        }
        DayLine::Parked { .. } => None,
    };
    Ok(judged.map(|judged| (trade, product_of(line), judged)))
}

/// Whether WeChat Pay accepted a refund on another day than in our books: the acceptance time may
/// be unknown here, and the notice only has the arrival time.
async fn is_of_other_day(
    app: &App,
    out_refund_no: &OutRefundNo,
    date: BillDate,
) -> Result<bool, DayError> {
    let told = query::refund(app, out_refund_no).await?;
    let accepted_at = told.ok().and_then(|news| news.accepted_at);
    Ok(accepted_at.is_some_and(|at| BillDate::of(at) != date))
}

/// Trades that the day before left open: they are in this day's bill or in none.
pub(crate) async fn carried(
    app: &App,
    part: DayPart,
    carried: &[CarriedTrade],
    finding: &mut Findings,
) -> Result<(), DayError> {
    for carried in carried {
        if !part.has(&carried.trade.order_no) {
            continue;
        }
        let trade = &carried.trade;
        if !finding.named.contains(&number_of_trade(trade)) {
            // It may be among the rows that were only counted: it waits for a run that examines
            // them.
            if finding.has_unchecked_rows() {
                continue;
            }
            let judged = still_absent(app, trade).await?;
            if let Some((kind, here)) = judged {
                finding.add(kind, about_trade(trade), None, Some(here));
            }
        }
        if !carried.settled {
            app.reconciliations
                .settle_carried(carried.date, &carried.id)
                .await?;
        }
    }
    Ok(())
}

async fn still_absent(
    app: &App,
    trade: &Trade,
) -> Result<Option<(DifferenceKind, SideView)>, DayError> {
    let Ok(order_no) = OrderNo::parse(&trade.order_no) else {
        return Ok(None);
    };
    match trade.kind {
        CarriedKind::Payment => {
            let order = app.orders.read(&order_no).await?;
            let transaction_id = trade.transaction_id.as_deref().unwrap_or_default();
            match classify_absent_payment(order.as_ref(), transaction_id) {
                Some(judged) => Ok(Some(judged)),
                None => parked_payment(app, &trade.order_no, transaction_id).await,
            }
        }
        CarriedKind::Refund => {
            let number = trade.out_refund_no.as_deref().unwrap_or_default();
            let Ok(out_refund_no) = OutRefundNo::parse(number) else {
                return Ok(None);
            };
            let refund = app
                .orders
                .refund_known_as(&order_no, &out_refund_no)
                .await?;
            Ok(classify_absent_refund(
                refund.as_ref(),
                BillDate::of(trade.at),
            ))
        }
    }
}

/// The records under a row's numbers, by consistent read. A number in a form that our orders cannot
/// have has no record.
async fn read(app: &App, row: &BillLine) -> Result<FoundRecord, DayError> {
    let Ok(order_no) = OrderNo::parse(&row.order_no) else {
        return Ok(FoundRecord::default());
    };
    let order = app.orders.read(&order_no).await?;
    let mut read = FoundRecord {
        order,
        ..FoundRecord::default()
    };
    match row.kind {
        LineKind::Payment | LineKind::Revoked => {
            if let Ok(transaction_id) = TransactionId::parse(&row.transaction_id) {
                read.parked = app
                    .orders
                    .parked_payment(&order_no, &transaction_id)
                    .await?;
            }
        }
        LineKind::Refund => {
            if let Ok(out_refund_no) = OutRefundNo::parse(&row.out_refund_no) {
                read.refund = app
                    .orders
                    .refund_known_as(&order_no, &out_refund_no)
                    .await?;
            }
        }
    }
    Ok(read)
}
