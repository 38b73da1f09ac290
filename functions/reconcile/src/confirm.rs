//! Candidates -> each order read consistently -> what differs.

use std::collections::BTreeSet;

use adapters::order_table::DayLine;
use futures_util::{StreamExt, TryStreamExt, stream};
use payments::{
    ids::{OrderNo, OutRefundNo, TransactionId},
    order::Product,
    reconcile::{
        bill_line::{BillLine, LineKind},
        books::{DayBooks, ParkedLine},
        carried::{CarriedKind, CarriedTrade, Trade},
        difference::{DifferenceKind, SideView},
        judge::{
            Classification, FoundRecord, about_row, classify_absent_payment,
            classify_absent_refund, classify_row, counted_fen, gap_of_row, identity_of_row,
            judge_absent_parked, side_of_row, sides_of_fee,
        },
        run::BillDate,
        totals::OTHERS,
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

/// Rows that the bill has twice: its sum is too high by each.
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

/// Rows whose fee is not their own rate's.
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

/// Lines of our books that no row named, and money kept for a person that none did. `before` is
/// what the bill of the day before had in its last minutes.
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

/// Money that is kept for a person and that no row names: it came, by what WeChat Pay told of it,
/// so the day's bill must have it as it must have a booked payment. `room` of them are read again.
async fn absent_parked(
    app: &App,
    books: &DayBooks,
    room: usize,
    before: &LastMinutes,
    finding: &mut Findings,
) -> Result<(), DayError> {
    let product_of = |parked: &ParkedLine<'_>| parked.product.map_or(OTHERS, Product::trade_type);
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

/// What money is that is kept for a person under these numbers, if no row of the bill names it.
/// Read consistently.
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
    Ok(judge_absent_parked(parked.as_ref()))
}

/// The trade of a line, and what it is if the bill has it not. Parked money is looked at apart
/// ([`absent_parked`]).
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

/// What is absent from the bill, if it is: the trade, its product, which kind of difference that
/// would be, and what our books say.
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

/// Whether WeChat Pay accepted a refund on another day than the one that our books have it on: it
/// was not told when, and the notice says only when the money was back.
async fn is_of_other_day(
    app: &App,
    out_refund_no: &OutRefundNo,
    date: BillDate,
) -> Result<bool, DayError> {
    let told = query::refund(app, out_refund_no).await?;
    let accepted_at = told.ok().and_then(|news| news.accepted_at);
    Ok(accepted_at.is_some_and(|at| BillDate::of(at) != date))
}

/// What the day before could not judge: this day's bill has it, or nobody's.
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
            // It may be among the rows that were only counted: it waits for a run that looks at
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

/// What stands under a row's numbers, read consistently. A number that no order of ours could have
/// has nothing under it.
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
