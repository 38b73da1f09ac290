//! Decides whether a candidate is a difference: compares a bill row, or a line of the books, with a
//! consistent read.
//!
//! A difference from the pass over the bill may only be a delay: an index that lags, or an order
//! that was paid in the last minute. So each candidate's order is read again, and only the result
//! here counts.

use matching::{
    bill_line::{BillLine, FAILED, LineKind},
    books::{BookedRefund, DayBooks},
    matcher::CURRENCY,
    totals::Gap,
};
use wechatpay::{
    UnixSeconds,
    bill::{Fee, beijing_time},
};

use crate::{
    model::{
        bill_date::BillDate,
        order::{Order, Payment},
        parked::{ParkedPayment, ParkedState},
        refund::Refund,
    },
    reconcile::difference::{DifferenceKind, DifferenceSubject, SideView},
};

/// What a consistent read found under the numbers of a row.
#[derive(Clone, Debug, Default)]
pub struct FoundRecord {
    /// The order of this number.
    pub order: Option<Order>,
    /// The parked payment with this number under the order.
    pub parked: Option<ParkedPayment>,
    /// The refund with this number.
    pub refund: Option<Refund>,
}

/// What a candidate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Classification {
    /// Both sides agree.
    Agrees,
    /// They differ; this is our side.
    Differs(DifferenceKind, Option<SideView>),
}

/// How close to midnight, in seconds, a trade may be on another day of the other side. Both sides
/// use WeChat Pay's clock, but not always the same moment of a trade.
pub const NEAR_MIDNIGHT_S: i64 = 600;

/// Which end of its day a trade is near.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NearMidnight {
    /// It may be in the bill of the day before.
    DayBefore,
    /// It may be in the bill of the day after.
    DayAfter,
    /// It is far from either.
    Neither,
}

/// Which end of `date` a time on that day is near.
pub fn near(date: BillDate, at: UnixSeconds) -> NearMidnight {
    if at.since(date.starts_at()) < NEAR_MIDNIGHT_S {
        NearMidnight::DayBefore
    } else if date.ends_at().since(at) <= NEAR_MIDNIGHT_S {
        NearMidnight::DayAfter
    } else {
        NearMidnight::Neither
    }
}

/// Decides about a row that the pass over the bill did not find in the books.
pub fn classify_row(row: &BillLine, mchid: &str, read: &FoundRecord) -> Classification {
    match row.kind {
        LineKind::Payment => payment(row, mchid, read),
        LineKind::Revoked => revoked(row, read),
        LineKind::Refund => refund(row, mchid, read),
    }
}

/// Decides about a payment that is booked on the day and that no row names; `None` if it is no
/// longer booked as in the index.
pub fn classify_absent_payment(
    order: Option<&Order>,
    transaction_id: &str,
) -> Option<(DifferenceKind, SideView)> {
    let order = order?;
    let payment = booked(order, transaction_id)?;
    Some((
        DifferenceKind::PaidHereAbsentThere,
        side_of(order, Some(payment)),
    ))
}

/// Decides about a parked payment that no row names; `None` if it is no longer parked, or was its
/// order's own payment after all.
pub fn classify_absent_parked(
    parked: Option<&ParkedPayment>,
) -> Option<(DifferenceKind, SideView)> {
    let parked = parked?;
    let note = match parked.state {
        ParkedState::Booked => return None,
        ParkedState::Parked | ParkedState::Refunding => Some(
            "it is kept for a person: give it back only once WeChat Pay's console shows that it came",
        ),
        ParkedState::Refunded | ParkedState::WithMerchant | ParkedState::Released => None,
    };
    let here = SideView {
        note: note.map(str::to_owned),
        ..side_of_parked(parked)
    };
    Some((DifferenceKind::PaidHereAbsentThere, here))
}

/// Decides about a refund that WeChat Pay accepted on the day and that no row names; `None` if it
/// is not of this day after all.
pub fn classify_absent_refund(
    refund: Option<&Refund>,
    date: BillDate,
) -> Option<(DifferenceKind, SideView)> {
    let refund = refund?;
    let state = BookedRefund::from(&refund.state);
    if matches!(state, BookedRefund::Reserved | BookedRefund::Refused) {
        return None; // nothing says that WeChat Pay ever accepted it
    }
    if refund
        .accepted_at
        .is_some_and(|at| BillDate::of(at) != date)
    {
        return None; // the index had it here before WeChat Pay's time was known
    }
    Some((
        DifferenceKind::RefundHereAbsentThere,
        side_of_refund(refund),
    ))
}

fn payment(row: &BillLine, mchid: &str, read: &FoundRecord) -> Classification {
    let foreign =
        |here: Option<SideView>| Classification::Differs(DifferenceKind::IdentityDiffers, here);
    let ours = |order: Option<&Order>| SideView {
        currency: Some(CURRENCY.to_owned()),
        appid: order.map(|order| order.appid.clone()),
        mchid: Some(mchid.to_owned()),
        ..order.map_or_else(SideView::default, |order| {
            side_of(order, order.state.payment())
        })
    };
    if row.mchid != mchid || row.currency != CURRENCY {
        return foreign(Some(ours(read.order.as_ref())));
    }
    let Some(order) = &read.order else {
        return match given_back(read.parked.as_ref()) {
            true => Classification::Agrees,
            false => {
                let here = read.parked.as_ref().map(side_of_parked);
                Classification::Differs(DifferenceKind::UnknownOrderThere, here)
            }
        };
    };
    let here = Some(side_of(order, order.state.payment()));
    let wrong = if row.appid != order.appid {
        Some(DifferenceKind::IdentityDiffers)
    } else if row.total_fen != order.amount.get() {
        Some(DifferenceKind::AmountDiffers)
    } else {
        None
    };
    let noted = |kind: DifferenceKind| {
        let here = if kind == DifferenceKind::IdentityDiffers {
            ours(Some(order))
        } else {
            side_of(order, order.state.payment())
        };
        Classification::Differs(kind, Some(here))
    };
    match order.state.payment() {
        Some(payment) if payment.transaction_id.as_str() == row.transaction_id => match wrong {
            Some(kind) => noted(kind),
            None => Classification::Agrees,
        },
        Some(_) if given_back(read.parked.as_ref()) => Classification::Agrees,
        Some(_) => Classification::Differs(DifferenceKind::DuplicatePayment, here),
        None => match wrong {
            Some(kind) => noted(kind),
            None => Classification::Differs(DifferenceKind::PaidThereUnpaidHere, here),
        },
    }
}

/// A reversal matters if the payment is booked or parked, or if the order is not ours.
fn revoked(row: &BillLine, read: &FoundRecord) -> Classification {
    let parked = read.parked.as_ref();
    let kept = parked.filter(|parked| !given_back(Some(parked)));
    let kept = kept.map(side_of_parked);
    let Some(order) = &read.order else {
        return Classification::Differs(DifferenceKind::StatusDiffers, kept);
    };
    match (booked(order, &row.transaction_id), kept) {
        (Some(payment), _) => Classification::Differs(
            DifferenceKind::StatusDiffers,
            Some(side_of(order, Some(payment))),
        ),
        (None, Some(kept)) => Classification::Differs(DifferenceKind::StatusDiffers, Some(kept)),
        (None, None) => Classification::Agrees,
    }
}

fn refund(row: &BillLine, mchid: &str, read: &FoundRecord) -> Classification {
    let here = read.refund.as_ref().map(side_of_refund);
    if row.mchid != mchid || row.currency != CURRENCY {
        let ours = SideView {
            currency: Some(CURRENCY.to_owned()),
            appid: read.order.as_ref().map(|order| order.appid.clone()),
            mchid: Some(mchid.to_owned()),
            ..here.unwrap_or_default()
        };
        return Classification::Differs(DifferenceKind::IdentityDiffers, Some(ours));
    }
    let Some(refund) = &read.refund else {
        return if row.refund_state == FAILED {
            Classification::Agrees // no money moved
        } else {
            Classification::Differs(DifferenceKind::RefundThereUnknownHere, None)
        };
    };
    let other_id = refund
        .refund_id
        .as_ref()
        .is_some_and(|refund_id| refund_id.as_str() != row.refund_id);
    if refund.transaction_id.as_str() != row.transaction_id || other_id {
        return Classification::Differs(DifferenceKind::RefundThereUnknownHere, here);
    }
    if refund.amount.get() != row.requested_refund_fen {
        return Classification::Differs(DifferenceKind::RefundAmountDiffers, here);
    }
    if BookedRefund::from(&refund.state).can_follow(&row.refund_state) {
        Classification::Agrees
    } else {
        Classification::Differs(DifferenceKind::RefundStateDiffers, here)
    }
}

fn booked<'a>(order: &'a Order, transaction_id: &str) -> Option<&'a Payment> {
    order
        .state
        .payment()
        .filter(|payment| payment.transaction_id.as_str() == transaction_id)
}

/// Whether a parked payment was refunded, or was the order's own after all. A refund in progress
/// may still fail. If the payer was paid another way, WeChat Pay does not know of it: a person
/// explains the difference.
fn given_back(parked: Option<&ParkedPayment>) -> bool {
    parked.is_some_and(|parked| match parked.state {
        ParkedState::Parked
        | ParkedState::Refunding
        | ParkedState::WithMerchant
        | ParkedState::Released => false,
        ParkedState::Refunded | ParkedState::Booked => true,
    })
}

fn side_of(order: &Order, payment: Option<&Payment>) -> SideView {
    SideView {
        amount_fen: Some(order.amount.get()),
        state: Some(order.state.name().to_owned()),
        at: payment.map(|payment| payment.paid_at),
        ..SideView::default()
    }
}

fn side_of_parked(parked: &ParkedPayment) -> SideView {
    SideView {
        amount_fen: Some(parked.amount.get()),
        state: Some(parked.state.name().to_owned()),
        at: Some(parked.paid_at),
        ..SideView::default()
    }
}

fn side_of_refund(refund: &Refund) -> SideView {
    SideView {
        amount_fen: Some(refund.amount.get()),
        state: Some(refund.state.name().to_owned()),
        at: refund.accepted_at,
        ..SideView::default()
    }
}

/// The bill's side of a row.
pub fn side_of_row(row: &BillLine) -> SideView {
    let (amount_fen, state) = match row.kind {
        LineKind::Payment => (row.total_fen, "SUCCESS"),
        LineKind::Revoked => (row.total_fen, "REVOKED"),
        LineKind::Refund => (row.requested_refund_fen, row.refund_state.as_str()),
    };
    SideView {
        amount_fen: Some(amount_fen),
        state: Some(state.to_owned()),
        at: beijing_time(&row.at),
        ..SideView::default()
    }
}

/// The same with appid and merchant number, for cases where these differ.
pub fn identity_of_row(row: &BillLine) -> SideView {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    SideView {
        currency: some(&row.currency),
        appid: some(&row.appid),
        mchid: some(&row.mchid),
        ..side_of_row(row)
    }
}

/// Both sides of a fee that does not match its rate: the bill's fee, and the one that its rate
/// gives. An unreadable value is `None`.
pub fn sides_of_fee(row: &BillLine) -> (SideView, SideView) {
    let rate = (!row.rate.is_empty()).then(|| row.rate.clone());
    let base_fen = match row.kind {
        LineKind::Payment | LineKind::Revoked => row.settlement_fen,
        LineKind::Refund => row.refund_fen.saturating_neg(),
    };
    let expected = Fee::at_rate(base_fen, &row.rate);
    let there = SideView {
        fee_e5: Some(row.fee),
        rate: rate.clone(),
        ..side_of_row(row)
    };
    let here = SideView {
        fee_e5: expected.map(Fee::units),
        rate,
        ..SideView::default()
    };
    (there, here)
}

/// The amount in our sums under a row's number, in fen: its line, or the parked payment. If `read`
/// did not find the line, because the bill has its number under another order, the row's amount is
/// assumed, since one number is one payment.
pub fn counted_fen(row: &BillLine, read: &FoundRecord, books: &DayBooks) -> Option<i64> {
    match row.kind {
        // Another row says that it succeeded: that one is compared with the line.
        LineKind::Revoked if !books.is_unseen_payment(&row.transaction_id) => None,
        LineKind::Payment | LineKind::Revoked if books.has_payment(&row.transaction_id) => {
            let order = read.order.as_ref();
            let order = order.filter(|order| booked(order, &row.transaction_id).is_some());
            Some(order.map_or(row.total_fen, |order| order.amount.get()))
        }
        LineKind::Payment | LineKind::Revoked => books.parked_fen(&row.transaction_id),
        LineKind::Refund if books.has_refund(&row.out_refund_no) => {
            let refund = read.refund.as_ref();
            Some(refund.map_or(row.requested_refund_fen, |refund| refund.amount.get()))
        }
        LineKind::Refund => None,
    }
}

/// How much more the bill has for a row than our books; `counted_fen` is the amount in our sums, if
/// any.
pub fn gap_of_row(row: &BillLine, counted_fen: Option<i64>) -> Gap {
    let (there, counted) = match row.kind {
        LineKind::Payment => (
            Gap::of_payment(row.total_fen),
            counted_fen.map(Gap::of_payment),
        ),
        // The sums leave it out: the meaning of its amounts is unknown.
        LineKind::Revoked => (Gap::default(), counted_fen.map(Gap::of_payment)),
        // They leave it out, since no money was returned.
        LineKind::Refund if row.refund_state == FAILED => {
            (Gap::default(), counted_fen.map(Gap::of_refund))
        }
        LineKind::Refund => (
            Gap::of_refund(row.requested_refund_fen),
            counted_fen.map(Gap::of_refund),
        ),
    };
    there.less(counted.unwrap_or_default())
}

/// What a row is about.
pub fn about_row(row: &BillLine) -> DifferenceSubject {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    DifferenceSubject {
        order_no: some(&row.order_no),
        transaction_id: some(&row.transaction_id),
        out_refund_no: some(&row.out_refund_no),
        refund_id: some(&row.refund_id),
        line: Some(row.line),
        ..DifferenceSubject::default()
    }
}

#[cfg(test)]
mod tests;
